/* SPDX-License-Identifier: Apache-2.0 */
/* Ports and devices' memory: an exit becomes accesses that a bus can do, one at a time; to ports at once. */
#include <errno.h>
#include <string.h>

#include "vm/gva.h"
#include "vm/vcpu.h"

#define GO_ON		VCPU_EXIT_MAX
#define STRING_ELEMENTS 256U /* of one INS or OUTS in a row: no guest keeps its CPU by one */

/* ---- ports ---- */

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

/* The port's part is done; whoever called run() has something to look at. */
static enum vcpu_exit come_out(struct vcpu_io *io)
{
	io->pio.count = 0;
	return VCPU_EXIT_PIO;
}

static gva_t string_gva(struct hv_vcpu *v, bool is_write)
{
	const struct x86_insn *insn = &v->mmio.insn;
	enum x86_seg seg = is_write ? (enum x86_seg)insn->mem.seg : X86_ES;

	return v->vm->hw_ops->seg_base(v->hw, seg) +
	       (v->hw->regs[is_write ? X86_RSI : X86_RDI] & index_mask(insn));
}

/* One element of INS or OUTS between its port and memory: 0, -EFAULT: the guest has its fault, -EIO. */
static int string_move(struct hv_vcpu *v, const struct hw_exit *exit, bool *ret_goes_on)
{
	gva_t gva = string_gva(v, exit->pio.is_write);
	uint32_t value = 0;
	int r = 0;

	if (exit->pio.is_write)
		r = v->mmio_cpu.ops->read(&v->mmio_cpu, gva, &value, exit->pio.len);
	if (r < 0)
		return r;
	*ret_goes_on = v->ports->access(v->ports, (uint16_t)v->hw->regs[X86_RDX], exit->pio.len,
					exit->pio.is_write, &value);
	return exit->pio.is_write
		       ? 0
		       : v->mmio_cpu.ops->write(&v->mmio_cpu, gva, &value, exit->pio.len);
}

/* What is left of a repeated one is executed again: the entry takes the interrupts that wait, ours and the guest's. */
static enum vcpu_exit string_elements(struct hv_vcpu *v, const struct hw_exit *exit,
				      struct vcpu_io *io)
{
	const struct x86_insn *insn = &v->mmio.insn;
	uint64_t *r = v->hw->regs;
	uint64_t step = v->hw->rflags & X86_DF ? -(uint64_t)exit->pio.len : exit->pio.len;
	bool repeats = insn->has_rep || insn->has_repne, goes_on = true;

	for (unsigned i = 0; i < STRING_ELEMENTS && goes_on; i++) {
		if (repeats && !(r[X86_RCX] & index_mask(insn))) {
			v->vm->hw_ops->advance(v->hw, insn->len);
			return GO_ON;
		}
		int err = string_move(v, exit, &goes_on);
		if (err == -EFAULT)
			return goes_on ? GO_ON : come_out(io);
		if (err < 0)
			return unreadable(io, insn, "INS or OUTS where there is no memory",
					  string_gva(v, exit->pio.is_write));
		index_move(v, exit->pio.is_write ? X86_RSI : X86_RDI, step);
		if (!repeats) {
			v->vm->hw_ops->advance(v->hw, insn->len);
			break;
		}
		index_move(v, X86_RCX, UINT64_MAX);
		goes_on &= !__atomic_load_n(&v->hw->kicked, __ATOMIC_RELAXED);
	}
	return goes_on ? GO_ON : come_out(io);
}

static enum vcpu_exit string_exit(struct hv_vcpu *v, const struct hw_exit *exit, struct vcpu_io *io)
{
	uint8_t bytes[X86_INSN_MAX];
	unsigned n = hv_fetch(v, bytes);

	if (!n || x86_decode(bytes, n, (enum x86_code)v->paging.code, &v->mmio.insn) <= 0)
		return GO_ON; /* it cannot be read any more: it is executed again, or faults */
	/* Another vcpu may have written another instruction there. */
	if (v->mmio.insn.op != (exit->pio.is_write ? X86_OP_OUTS : X86_OP_INS))
		return GO_ON;
	return string_elements(v, exit, io);
}

static void rax_put(uint64_t *rax, uint32_t value, unsigned len)
{
	if (len == 1)
		*rax = (*rax & ~UINT64_C(0xff)) | (value & 0xff);
	else if (len == 2)
		*rax = (*rax & ~UINT64_C(0xffff)) | (value & 0xffff);
	else
		*rax = value;
}

enum vcpu_exit hv_pio_exit(struct hv_vcpu *v, const struct hw_exit *exit, struct vcpu_io *io)
{
	uint64_t *rax = &v->hw->regs[X86_RAX];
	uint32_t value = (uint32_t)*rax;

	if (exit->pio.is_string)
		return string_exit(v, exit, io);
	bool goes_on = v->ports->access(v->ports, exit->pio.port, exit->pio.len, exit->pio.is_write,
					&value);
	if (!exit->pio.is_write)
		rax_put(rax, value, exit->pio.len);
	v->vm->hw_ops->advance(v->hw, exit->insn_len);
	return goes_on ? GO_ON : come_out(io);
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
