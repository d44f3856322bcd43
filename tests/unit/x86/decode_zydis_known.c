/* SPDX-License-Identifier: Apache-2.0 */
#include "decode_zydis.h"

const char *zydis_excuse(const struct difference *difference, const struct zydis_view *view,
			 const struct x86_insn *insn, const uint8_t *bytes, enum x86_code code)
{
	(void)difference;
	(void)view;
	(void)insn;
	(void)bytes;
	(void)code;
	return NULL;
}
