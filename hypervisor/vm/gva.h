/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The guest's own page tables, walked for an instruction that is completed for it.
 * Accessed and dirty bits are left alone where the hardware set them when it tried the same access; gva_mark() is for where it did not.
 * Sources: AMD APM 2, Page Translation and Protection; Page-Fault Error Codes in 8.2.15 #PF. Intel SDM 3A, Determination of
 * Access Rights; Accessed and Dirty Flags.
 */
#include <stdbool.h>
#include <stdint.h>

#include "machine/mem.h"
#include "hw/hw_ops.h"

/* Page fault error code. */
#define GVA_PRESENT 0x01U
#define GVA_WRITE   0x02U
#define GVA_USER    0x04U
#define GVA_FETCH   0x10U

/*
 * gva_translate() - @access: GVA_WRITE, GVA_USER, GVA_FETCH
 * Return: 0 and the guest physical address; -EFAULT and *ret_error, the error code of the #PF; -EIO: a table is not in RAM.
 */
int gva_translate(const struct guest_mem *mem, const struct hw_paging *paging, gva_t gva,
		  uint32_t access, gpa_t *ret, uint32_t *ret_error);
/*
 * gva_read(), gva_write() - bytes, across pages
 * Return: 0; -EFAULT with *ret_gva, *ret_error: what CR2 and the error code are; -EIO: not RAM. Part may be done.
 */
int gva_read(const struct guest_mem *mem, const struct hw_paging *paging, gva_t gva,
	     uint32_t access, void *ret, unsigned len, gva_t *ret_gva, uint32_t *ret_error);
int gva_write(struct guest_mem *mem, const struct hw_paging *paging, gva_t gva, uint32_t access,
	      const void *data, unsigned len, gva_t *ret_gva, uint32_t *ret_error);
/* gva_mark() - accessed and, with GVA_WRITE, dirty bits of an access that has been made. What is not mapped any more is left alone. */
void gva_mark(struct guest_mem *mem, const struct hw_paging *paging, gva_t gva, uint32_t access,
	      unsigned len);
