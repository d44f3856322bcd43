/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A share that answers when it is told to, in any order, well or badly. abort(): the device broke machine/ops.h's contract. */
#include "machine/ops.h"

#define FAKE_SHARE_REQUESTS 64U

struct fake_share {
	struct share share;
	struct share_request *waiting[FAKE_SHARE_REQUESTS];
	unsigned n_waiting, n_requests;
	int refuse; /* what submit() says, while it is not 0 */
};

void fake_share_init(struct fake_share *f);
/*
 * fake_share_answer() - the i-th of those that wait
 * @len: of the whole reply   @said: what its header says the length is   @error: what its header says
 * Behind the header are bytes of 0xa5. false: there is none.
 */
bool fake_share_answer(struct fake_share *f, unsigned i, uint32_t len, uint32_t said,
		       int32_t error);
/* fake_share_result() - done() with that, and nothing else. */
bool fake_share_result(struct fake_share *f, unsigned i, int64_t result);
