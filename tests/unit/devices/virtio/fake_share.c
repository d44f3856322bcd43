/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/fake_share.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"

static uint64_t fake_sum(const struct mem_iov *iov, unsigned n)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += iov[i].len;
	return sum;
}

static int fake_submit(struct share *share, struct share_request *req)
{
	struct fake_share *f = container_of(share, struct fake_share, share);

	if (fake_sum(req->out, req->n_out) != req->out_bytes ||
	    fake_sum(req->in, req->n_in) != req->in_bytes || req->in_bytes > SHARE_MESSAGE_MAX ||
	    req->out_bytes + SHARE_HEAD_BYTES > SHARE_MESSAGE_MAX ||
	    le32_load(req->head) != req->out_bytes + SHARE_HEAD_BYTES ||
	    f->n_waiting == FAKE_SHARE_REQUESTS)
		abort();
	if (f->refuse)
		return f->refuse;
	f->n_requests++;
	f->waiting[f->n_waiting++] = req;
	return 0;
}

static const struct share_ops fake_ops = { .name = "fake", .submit = fake_submit };

void fake_share_init(struct fake_share *f)
{
	memset(f, 0, sizeof(*f));
	f->share.ops = &fake_ops;
}

bool fake_share_result(struct fake_share *f, unsigned i, int64_t result)
{
	if (i >= f->n_waiting)
		return false;
	struct share_request *req = f->waiting[i];
	f->waiting[i] = f->waiting[--f->n_waiting];
	req->done(req, result);
	return true;
}

bool fake_share_answer(struct fake_share *f, unsigned i, uint32_t len, uint32_t said, int32_t error)
{
	if (i >= f->n_waiting)
		return false;
	struct share_request *req = f->waiting[i];
	uint64_t at = 0;
	le32_store(req->reply, said);
	le32_store(req->reply + 4, (uint32_t)error);
	memcpy(req->reply + 8, req->head + 8, 8);
	for (unsigned k = 0; k < req->n_in; k++) {
		for (uint64_t b = 0; b < req->in[k].len; b++, at++) {
			if (at >= SHARE_REPLY_BYTES && at < len)
				((uint8_t *)req->in[k].hva)[b] = 0xa5;
		}
	}
	return fake_share_result(f, i, len);
}
