/* SPDX-License-Identifier: Apache-2.0 */
#include "guest_host.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/core/lock.h"
#include "base/core/macros.h"
#include "base/os/fd.h"
#include "device_host.h"
#include "engines/hybrid/kvm.h"
#include "machine/boot.h"
#include "machine/bus.h"
#include "machine/layout.h"

#define RAM_BYTES   (UINT64_C(16) << 20)
#define VCPUS_MAX   4U
#define MINUTE_NS   INT64_C(60000000000)
#define SERIAL_LSR  5
#define SERIAL_KEEP 7

struct host {
	struct guest_mem mem;
	struct bus mmio, pio;
	struct bus_region serial, exit;
	struct device_host *devices; /* NULL: none */
	struct vm *vm;
	struct vcpu *vcpus[VCPUS_MAX];
	unsigned n;
	struct lock lock; /* of the rest */
	uint8_t scratch;
	size_t len; /* of end->text */
	uint32_t over;
	struct guest_end *end;
};

static bool is_over(struct host *host)
{
	return __atomic_load_n(&host->over, __ATOMIC_SEQ_CST) != 0;
}

static void host_over(struct host *host)
{
	__atomic_store_n(&host->over, 1, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < host->n; i++)
		kvm_cpu_ops.kick(host->vcpus[i]);
}

static uint64_t serial_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	struct host *host = container_of(region, struct host, serial);

	(void)len;
	if (offset == SERIAL_LSR)
		return 0x60; /* nothing to send any more */
	return offset == SERIAL_KEEP ? host->scratch : 0;
}

static void serial_write(struct bus_region *region, uint64_t offset, unsigned len, uint64_t value)
{
	struct host *host = container_of(region, struct host, serial);

	for (unsigned i = 0; i < len; i++, offset++, value >>= 8) { /* eight byte registers */
		if (offset == 0 && host->len + 1 < sizeof(host->end->text))
			host->end->text[host->len++] = (char)value;
		if (offset == SERIAL_KEEP)
			host->scratch = (uint8_t)value;
	}
}

static uint64_t serial_read_wide(struct bus_region *region, uint64_t offset, unsigned len)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < len; i++)
		value |= serial_read(region, offset + i, 1) << (8 * i);
	return value;
}

static uint64_t exit_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	(void)region;
	(void)offset;
	(void)len;
	return 0;
}

static void exit_write(struct bus_region *region, uint64_t offset, unsigned len, uint64_t value)
{
	struct host *host = container_of(region, struct host, exit);

	(void)offset;
	(void)len;
	host->end->exited = true;
	host->end->status = (uint8_t)value;
	host_over(host);
}

static const struct bus_ops serial_ops = { .name = "serial",
					   .read = serial_read_wide,
					   .write = serial_write };
static const struct bus_ops exit_ops = { .name = "exit", .read = exit_read, .write = exit_write };

static uint64_t load(const uint8_t *data, unsigned len)
{
	uint64_t value = 0;

	memcpy(&value, data, len);
	return value;
}

static void access_bus(struct bus *bus, uint64_t addr, uint8_t *data, unsigned len, bool is_write)
{
	if (is_write) {
		bus_write(bus, addr, len, load(data, len));
		return;
	}
	uint64_t value = bus_read(bus, addr, len);
	memcpy(data, &value, len);
}

static void pio(struct host *host, struct vcpu_io *io)
{
	for (uint32_t i = 0; i < io->pio.count; i++)
		access_bus(&host->pio, io->pio.port, io->pio.data + i * io->pio.len, io->pio.len,
			   io->pio.is_write);
}

/* Strings arrive in pieces that need not be a register's width. */
static void mmio(struct host *host, struct vcpu_io *io)
{
	unsigned len;

	for (unsigned done = 0; done < io->mmio.len; done += len) {
		for (len = 8; len > io->mmio.len - done;)
			len /= 2;
		access_bus(&host->mmio, io->mmio.gpa + done, io->mmio.data + done, len,
			   io->mmio.is_write);
	}
}

static void host_failed(struct host *host, struct vcpu *vcpu, const struct vcpu_io *io)
{
	struct x86_state state;

	lock_acquire(&host->lock);
	if (!is_over(host)) {
		host->end->failure = io->fail.what;
		host->end->insn_len = io->fail.insn_len;
		memcpy(host->end->insn, io->fail.insn, sizeof(io->fail.insn));
		if (vcpu->ops->state_get(vcpu, &state) == 0)
			host->end->rip = state.rip;
	}
	lock_release(&host->lock);
	host_over(host);
}

static void host_ended(struct host *host, const char *why)
{
	lock_acquire(&host->lock);
	if (!is_over(host))
		host->end->failure = why;
	lock_release(&host->lock);
	host_over(host);
}

struct runner {
	struct host *host;
	struct vcpu *vcpu;
};

static void *run_vcpu(void *arg)
{
	const struct runner *r = arg;
	struct vcpu_io io;

	while (!is_over(r->host)) {
		switch (r->vcpu->ops->run(r->vcpu, &io)) {
		case VCPU_EXIT_PIO:
			pio(r->host, &io);
			break;
		case VCPU_EXIT_MMIO:
			mmio(r->host, &io);
			break;
		case VCPU_EXIT_KICKED:
			break;
		case VCPU_EXIT_FAIL:
			host_failed(r->host, r->vcpu, &io);
			break;
		case VCPU_EXIT_SHUTDOWN:
			host_ended(r->host, "triple fault");
			break;
		default:
			host_ended(r->host, "an exit that this host does not know");
			break;
		}
	}
	return NULL;
}

static void host_load(struct host *host, const char *name, const char *cmdline,
		      struct x86_state *state)
{
	char path[512];
	struct err err = { 0 };
	const char *build = getenv("STRATA_LIBEXEC");

	(void)snprintf(path, sizeof(path), "%s/tests/guest/guest_%s", build ? build : "build",
		       name);
	AUTO(fd_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t len = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	if (len <= 0)
		fail_msg("open %s: %s", path, strerror(errno));
	void *image = mmap(NULL, (size_t)len, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(image, MAP_FAILED);
	const struct boot_source source = { .kernel = image,
					    .kernel_len = (uint64_t)len,
					    .cmdline = cmdline };
	if (boot_load(&host->mem, &source, state, &err) < 0)
		fail_msg("load %s: %s", path, err.text);
	(void)munmap(image, (size_t)len);
}

static void host_vcpus(struct host *host, const struct x86_state *state)
{
	const struct cpu_ops *ops = &kvm_cpu_ops;
	struct cpuid_leaf leaves[CPUID_LEAVES_MAX];
	unsigned n = CPUID_LEAVES_MAX;
	struct err err = { 0 };

	if (ops->cpuid_supported(leaves, &n, &err) < 0)
		fail_msg("%s", err.text);
	for (unsigned i = 0; i < host->n; i++) {
		if (ops->vcpu_create(host->vm, i, &host->vcpus[i], &err) < 0 ||
		    ops->cpuid_set(host->vcpus[i], leaves, n, &err) < 0)
			fail_msg("%s", err.text);
	}
	assert_int_equal(ops->state_set(host->vcpus[0], state), 0);
}

static void host_build(struct host *host, const struct guest_run *run)
{
	struct vm_config config = { .mem = &host->mem,
				    .vcpus = run->vcpus,
				    .own_irqchip = run->irqchip != TINY_NONE };
	struct x86_state state;
	struct err err = { 0 };

	host->n = run->vcpus;
	host->serial = (struct bus_region){
		.ops = &serial_ops, .lock = &host->lock, .base = PORT_SERIAL_1, .size = 8
	};
	host->exit = (struct bus_region){ .ops = &exit_ops, .base = PORT_DEBUG_EXIT, .size = 4 };
	assert_int_equal(bus_add(&host->pio, &host->serial), 0);
	assert_int_equal(bus_add(&host->pio, &host->exit), 0);
	void *ram =
		mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(ram, MAP_FAILED);
	assert_int_equal(mem_add(&host->mem, 0, RAM_BYTES, ram, false), 0);
	host_load(host, run->name, run->cmdline, &state);
	if (kvm_cpu_ops.vm_create(&config, &host->vm, &err) < 0 ||
	    kvm_cpu_ops.slot_set(host->vm, &host->mem.slots[0], &err) < 0)
		fail_msg("%s", err.text);
	host_vcpus(host, &state);
	if (run->devices)
		host->devices = device_host_start(&host->mem, &host->mmio, &host->pio, host->vm);
}

static int64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* always there */
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void host_run(struct host *host)
{
	pthread_t threads[VCPUS_MAX];
	struct runner runners[VCPUS_MAX];
	struct timespec deadline;

	assert_int_equal(clock_gettime(CLOCK_REALTIME, &deadline), 0);
	deadline.tv_sec += MINUTE_NS / INT64_C(1000000000);
	for (unsigned i = 0; i < host->n; i++) {
		runners[i] = (struct runner){ host, host->vcpus[i] };
		assert_int_equal(pthread_create(&threads[i], NULL, run_vcpu, &runners[i]), 0);
	}
	int64_t began = now_ns();
	for (unsigned i = 0; i < host->n; i++) {
		if (pthread_timedjoin_np(threads[i], NULL, &deadline) == 0)
			continue;
		assert_true(now_ns() - began > MINUTE_NS / 2);
		host_ended(host, "it did not end within a minute");
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	}
}

void guest_host_run(const struct guest_run *run, struct guest_end *ret)
{
	struct host host = { .end = ret };

	memset(ret, 0, sizeof(*ret));
	assert_true(run->vcpus <= VCPUS_MAX);
	host_build(&host, run);
	host_run(&host);
	device_host_stop(host.devices);
	for (unsigned i = 0; i < host.n; i++)
		kvm_cpu_ops.vcpu_destroy(host.vcpus[i]);
	kvm_cpu_ops.vm_destroy(host.vm);
	(void)munmap(host.mem.slots[0].hva, RAM_BYTES);
}
