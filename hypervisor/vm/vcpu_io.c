/* SPDX-License-Identifier: Apache-2.0 */
/* Ports and devices' memory: an exit becomes accesses that a bus can do, one at a time. */
#include <errno.h>
#include <string.h>

#include "vm/gva.h"
#include "vm/vcpu.h"

#define GO_ON VCPU_EXIT_MAX

/* ---- ports ---- */

static enum vcpu_exit pio_out(struct hv_vcpu *v, struct vcpu_io *io)
{
	io->pio.len = v->pio_len;
	io->pio.is_write = v->is_write;
	io->pio.count = 1;
	io->pio.data = v->data;
	return VCPU_EXIT_PIO;
}

static enum vcpu_exit unreadable(struct vcpu_io *io, const struct x86_insn *insn, const char *what,
				 uint64_t code)
{
	io->fail.what = what;
	io->fail.code = code;
	io->fail.insn_len = 0;
	if (insn && insn->len <= sizeof(io->fail.insn)) {
		io->fail.insn_len = insn->len;
		memcpy(io->fail.insn, insn->bytes, insn->len);
	}
	return VCPU_EXIT_FAIL;
}

static uint64_t index_mask(const struct x86_insn *insn)
{
	return insn->addr_bytes >= 8 ? UINT64_MAX : (UINT64_C(1) << (8 * insn->addr_bytes)) - 1;
}

static void index_move(struct hv_vcpu *v, enum x86_reg reg, uint64_t by)
{
	uint64_t mask = index_mask(&v->mmio.insn), *r = &v->hw->regs[reg];

	*r = mask == 0xffff ? (*r & ~mask) | ((*r + by) & mask) : (*r + by) & mask;
}

static bool is_repeated(const struct x86_insn *insn)
{
	return insn->has_rep || insn->has_repne;
}

/* One element of INS or OUTS; OUTS's is read from memory first. */
static enum vcpu_exit string_element(struct hv_vcpu *v, struct vcpu_io *io)
{
	const struct x86_insn *insn = &v->mmio.insn;
	uint64_t mask = index_mask(insn);

	if (is_repeated(insn) && !(v->hw->regs[X86_RCX] & mask)) {
		v->vm->hw_ops->advance(v->hw, insn->len);
		return GO_ON;
	}
	if (v->is_write) {
		gva_t gva = v->vm->hw_ops->seg_base(v->hw, (enum x86_seg)insn->mem.seg) +
			    (v->hw->regs[X86_RSI] & mask);
		int r = v->mmio_cpu.ops->read(&v->mmio_cpu, gva, v->data, v->pio_len);
		if (r == -EFAULT)
			return GO_ON;
		if (r < 0)
			return unreadable(io, insn, "OUTS from where there is no memory", gva);
	}
	v->unfinished = HV_PIO_STRING;
	io->pio.port = (uint16_t)v->hw->regs[X86_RDX];
	return pio_out(v, io);
}

static enum vcpu_exit string_begin_pio(struct hv_vcpu *v, const struct hw_exit *exit,
				       struct vcpu_io *io)
{
	uint8_t bytes[X86_INSN_MAX];
	unsigned n = hv_fetch(v, bytes);

	if (!n || x86_decode(bytes, n, (enum x86_code)v->paging.code, &v->mmio.insn) <= 0)
		return GO_ON; /* it cannot be read any more: it is executed again, or faults */
	if (v->mmio.insn.op != X86_OP_INS && v->mmio.insn.op != X86_OP_OUTS)
		return GO_ON;
	v->is_write = exit->pio.is_write;
	v->pio_len = exit->pio.len;
	return string_element(v, io);
}

enum vcpu_exit hv_pio_string_end(struct hv_vcpu *v, struct vcpu_io *io)
{
	const struct x86_insn *insn = &v->mmio.insn;
	uint64_t step = v->hw->rflags & X86_DF ? -(uint64_t)v->pio_len : v->pio_len;

	if (!v->is_write) {
		gva_t gva = v->vm->hw_ops->seg_base(v->hw, X86_ES) +
			    (v->hw->regs[X86_RDI] & index_mask(insn));
		int r = v->mmio_cpu.ops->write(&v->mmio_cpu, gva, v->data, v->pio_len);
		if (r == -EFAULT)
			return GO_ON;
		if (r < 0)
			return unreadable(io, insn, "INS to where there is no memory", gva);
	}
	index_move(v, v->is_write ? X86_RSI : X86_RDI, step);
	if (!is_repeated(insn)) {
		v->vm->hw_ops->advance(v->hw, insn->len);
		return GO_ON;
	}
	index_move(v, X86_RCX, UINT64_MAX);
	/* Between two elements interrupts are taken: a kick goes first. */
	if (__atomic_load_n(&v->hw->kicked, __ATOMIC_RELAXED))
		return GO_ON;
	return string_element(v, io);
}

enum vcpu_exit hv_pio_begin(struct hv_vcpu *v, const struct hw_exit *exit, struct vcpu_io *io)
{
	if (exit->pio.is_string)
		return string_begin_pio(v, exit, io);
	v->pio_len = exit->pio.len;
	v->is_write = exit->pio.is_write;
	v->insn_len = exit->insn_len;
	if (v->is_write)
		memcpy(v->data, &v->hw->regs[X86_RAX], 4);
	v->unfinished = HV_PIO;
	io->pio.port = exit->pio.port;
	return pio_out(v, io);
}

enum vcpu_exit hv_pio_end(struct hv_vcpu *v, struct vcpu_io *io)
{
	uint64_t *rax = &v->hw->regs[X86_RAX];
	uint32_t value;

	(void)io;
	memcpy(&value, v->data, sizeof(value));
	if (!v->is_write && v->pio_len == 1)
		*rax = (*rax & ~UINT64_C(0xff)) | (value & 0xff);
	else if (!v->is_write && v->pio_len == 2)
		*rax = (*rax & ~UINT64_C(0xffff)) | (value & 0xffff);
	else if (!v->is_write)
		*rax = value;
	v->vm->hw_ops->advance(v->hw, v->insn_len);
	return GO_ON;
}

/* ---- memory ---- */

static struct hv_vcpu *cpu_vcpu(struct mmio_cpu *cpu)
{
	return container_of(cpu, struct hv_vcpu, mmio_cpu);
}

static int cpu_read(struct mmio_cpu *cpu, gva_t gva, void *ret, unsigned len)
{
	struct hv_vcpu *v = cpu_vcpu(cpu);
	uint32_t access = v->paging.cpl == 3 ? GVA_USER : 0, error = 0;
	gva_t at = 0;
	int r = gva_read(v->vm->mem, &v->paging, gva, access, ret, len, &at, &error);

	if (r == -EFAULT)
		hv_raise_page_fault(v, at, error);
	return r;
}

static int cpu_write(struct mmio_cpu *cpu, gva_t gva, const void *data, unsigned len)
{
	struct hv_vcpu *v = cpu_vcpu(cpu);
	uint32_t access = v->paging.cpl == 3 ? GVA_USER : 0, error = 0;
	gva_t at = 0;
	int r = gva_write(v->vm->mem, &v->paging, gva, access, data, len, &at, &error);

	if (r == -EFAULT)
		hv_raise_page_fault(v, at, error);
	return r;
}

static uint64_t cpu_seg_base(struct mmio_cpu *cpu, enum x86_seg seg)
{
	struct hv_vcpu *v = cpu_vcpu(cpu);

	return v->vm->hw_ops->seg_base(v->hw, seg);
}

static const struct mmio_cpu_ops cpu_ops_mmio = {
	.read = cpu_read,
	.write = cpu_write,
	.seg_base = cpu_seg_base,
};

void hv_io_init(struct hv_vcpu *v)
{
	v->mmio_cpu = (struct mmio_cpu){ &cpu_ops_mmio, v->hw->regs, &v->hw->rflags };
}

static enum vcpu_exit mmio_out(struct hv_vcpu *v, struct vcpu_io *io, enum mmio_step step)
{
	switch (step) {
	case MMIO_READ:
	case MMIO_WRITE:
		v->unfinished = HV_MMIO;
		io->mmio.gpa = v->mmio.gpa;
		io->mmio.len = v->mmio.len;
		io->mmio.is_write = step == MMIO_WRITE;
		memcpy(v->data, &v->mmio.value, sizeof(v->data));
		io->mmio.data = v->data;
		v->is_write = io->mmio.is_write;
		return VCPU_EXIT_MMIO;
	case MMIO_DONE:
		v->vm->hw_ops->advance(v->hw, v->mmio.insn.len);
		return GO_ON;
	case MMIO_AGAIN:
	case MMIO_FAULT:
		return GO_ON;
	default:
		return unreadable(io, &v->mmio.insn,
				  "an instruction that is not carried out at a device",
				  v->mmio.gpa);
	}
}

/* Decoded again only if its bytes are others than those of the last one. */
static bool mmio_decode(struct hv_vcpu *v)
{
	uint8_t bytes[X86_INSN_MAX];
	struct x86_insn *insn = &v->mmio.insn;
	unsigned n = hv_fetch(v, bytes);

	if (!n)
		return false;
	if (insn->len && insn->len <= n && insn->code == v->paging.code &&
	    !memcmp(insn->bytes, bytes, insn->len))
		return true;
	insn->len = 0;
	return x86_decode(bytes, n, (enum x86_code)v->paging.code, insn) > 0;
}

enum vcpu_exit hv_mmio_begin(struct hv_vcpu *v, const struct hw_exit *exit, struct vcpu_io *io)
{
	if (!mmio_decode(v)) {
		if (v->exception.type != HW_EVENT_NONE)
			return GO_ON;
		return unreadable(io, NULL, "an instruction that cannot be read", v->hw->rip);
	}
	enum mmio_step step = mmio_begin(&v->mmio, &v->mmio_cpu, exit->npf.gpa, exit->npf.is_write);
	return mmio_out(v, io, step);
}

enum vcpu_exit hv_mmio_end(struct hv_vcpu *v, struct vcpu_io *io)
{
	if (!v->is_write)
		memcpy(&v->mmio.value, v->data, sizeof(v->mmio.value));
	return mmio_out(v, io, mmio_next(&v->mmio, &v->mmio_cpu));
}
