/* SPDX-License-Identifier: Apache-2.0 */
#include <emmintrin.h>
#include <math.h>
#include <string.h>

#include "items.h"

#define LIBM_N	 1500000U
#define MATRIX_N 192U

static uint64_t bits(double x)
{
	uint64_t u;

	memcpy(&u, &x, sizeof(u));
	return u;
}

static uint64_t libm(void)
{
	double x = 0.5, sum = 0;

	for (unsigned i = 0; i < LIBM_N; i++) {
		sum += sin(x) * exp(-x) + log(x + 1.0) + sqrt(x);
		x += 1.0 / 1024;
		if (x > 50)
			x -= 50;
	}
	return bits(sum);
}

static uint64_t matmul(void)
{
	static double a[MATRIX_N][MATRIX_N], b[MATRIX_N][MATRIX_N], c[MATRIX_N][MATRIX_N];
	double sum = 0;

	for (unsigned i = 0; i < MATRIX_N; i++) {
		for (unsigned j = 0; j < MATRIX_N; j++) {
			a[i][j] = (double)(i * 3 + j) / 7;
			b[i][j] = (double)(i + j * 5) / 11;
		}
	}
	for (unsigned times = 0; times < 4; times++) {
		for (unsigned i = 0; i < MATRIX_N; i++) {
			for (unsigned j = 0; j < MATRIX_N; j += 2) {
				__m128d s = _mm_setzero_pd();
				for (unsigned k = 0; k < MATRIX_N; k++)
					s = _mm_add_pd(s, _mm_mul_pd(_mm_set1_pd(a[i][k]),
								     _mm_loadu_pd(&b[k][j])));
				_mm_storeu_pd(&c[i][j], s);
			}
		}
		a[0][0] += c[1][1];
	}
	for (unsigned i = 0; i < MATRIX_N; i++)
		sum += c[i][i];
	return bits(sum);
}

const struct item items_floating[] = {
	{ "libm", ITEM_FLOATING, libm },
	{ "matmul", ITEM_FLOATING, matmul },
	{ 0 },
};
