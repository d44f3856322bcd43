/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of device accesses: an instruction that needs the machine is executed again with its answers. */
#include "engines/hosted/io.h"

#include "engines/hosted/cpu.h"

/* What len says of an access to an MSR: its index is in addr. */
#define IO_LEN_MSR	 0U
#define IO_LEN_MSR_FAULT 0xffU /* the machine's answer was #GP */

void io_begin(struct hosted_cpu *cpu)
{
	struct cpu_io *io = &cpu->io;

	io->at = 0;
	if (!io->pending)
		return;
	struct cpu_io_access *done = &io->done[io->n_done++];
	io->pending = false;
	if (done->len == IO_LEN_MSR) {
		done->data = cpu->io_out->msr.value;
		if (cpu->io_out->msr.fault)
			done->len = IO_LEN_MSR_FAULT;
	} else if (!done->is_write) {
		done->data = 0;
		cpu_copy(&done->data, cpu->io_data, done->len);
	}
}

enum cpu_result io_fail(struct hosted_cpu *cpu, const char *what, uint64_t code)
{
	cpu->io_out->fail.what = what;
	cpu->io_out->fail.code = code;
	cpu->io_out->fail.insn_len = 0;
	cpu->exit = VCPU_EXIT_FAIL;
	return CPU_EXIT;
}

static bool io_is_same(const struct cpu_io_access *a, const struct cpu_io_access *b)
{
	bool msr = b->len == IO_LEN_MSR && a->len == IO_LEN_MSR_FAULT;

	return a->addr == b->addr && a->is_port == b->is_port && a->is_write == b->is_write &&
	       (a->len == b->len || msr);
}

/*
 * Whether the journal has it. Another vcpu may have changed memory since, so that the instruction is no longer what it was:
 * what it did to devices is done, and the rest of the journal is of no use.
 */
static const struct cpu_io_access *io_replay(struct cpu_io *io, const struct cpu_io_access *access)
{
	if (io->at == io->n_done)
		return NULL;
	const struct cpu_io_access *done = &io->done[io->at];
	if (io_is_same(done, access)) {
		io->at++;
		return done;
	}
	io->n_done = io->at;
	return NULL;
}

static bool io_ask(struct hosted_cpu *cpu, const struct cpu_io_access *access)
{
	struct cpu_io *io = &cpu->io;

	if (io->n_done == CPU_IO_MAX) {
		(void)io_fail(
			cpu, "an instruction of the guest's has more device accesses than any does",
			cpu->rip);
		return false;
	}
	io->done[io->n_done] = *access;
	io->pending = true;
	return true;
}

enum cpu_result io_access(struct hosted_cpu *cpu, bool is_port, bool is_write, uint64_t addr,
			  unsigned len, uint64_t *data)
{
	const struct cpu_io_access access = {
		.addr = addr,
		.data = is_write ? *data : 0,
		.len = (uint8_t)len,
		.is_write = is_write,
		.is_port = is_port,
	};
	const struct cpu_io_access *done = io_replay(&cpu->io, &access);

	if (done) {
		if (!is_write)
			*data = done->data;
		return CPU_OK;
	}
	if (!io_ask(cpu, &access))
		return CPU_EXIT;
	cpu_copy(cpu->io_data, &access.data, sizeof(cpu->io_data));
	if (is_port) {
		cpu->io_out->pio.port = (uint16_t)addr;
		cpu->io_out->pio.len = (uint8_t)len;
		cpu->io_out->pio.is_write = is_write;
		cpu->io_out->pio.count = 1;
		cpu->io_out->pio.data = cpu->io_data;
		cpu->exit = VCPU_EXIT_PIO;
	} else {
		cpu->io_out->mmio.gpa = addr;
		cpu->io_out->mmio.len = (uint8_t)len;
		cpu->io_out->mmio.is_write = is_write;
		cpu->io_out->mmio.data = cpu->io_data;
		cpu->exit = VCPU_EXIT_MMIO;
	}
	return CPU_EXIT;
}

enum cpu_result io_msr(struct hosted_cpu *cpu, bool is_write, uint32_t index, uint64_t *value,
		       bool *ret_fault)
{
	const struct cpu_io_access access = {
		.addr = index,
		.data = is_write ? *value : 0,
		.len = IO_LEN_MSR,
		.is_write = is_write,
	};
	const struct cpu_io_access *done = io_replay(&cpu->io, &access);

	if (done) {
		*ret_fault = done->len == IO_LEN_MSR_FAULT;
		if (!is_write)
			*value = done->data;
		return CPU_OK;
	}
	if (!io_ask(cpu, &access))
		return CPU_EXIT;
	cpu->io_out->msr.index = index;
	cpu->io_out->msr.value = access.data;
	cpu->io_out->msr.fault = false;
	cpu->exit = is_write ? VCPU_EXIT_MSR_WRITE : VCPU_EXIT_MSR_READ;
	return CPU_EXIT;
}
