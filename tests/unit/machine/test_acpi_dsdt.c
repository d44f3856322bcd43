/* SPDX-License-Identifier: Apache-2.0 */
/* The reference implementation's disassembler reads every table, and its compiler takes what came out. */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "machine/acpi.h"
#include "machine/layout.h"

#define TEXT_BYTES 131072U

struct tables {
	uint8_t data[LAYOUT_ACPI_BYTES];
	size_t len;
};

static void build(struct tables *t, unsigned vcpus)
{
	const struct acpi_config config = {
		.vcpus = vcpus,
		.serial = true,
		.rtc = true,
		.i8042 = true,
		.fwcfg = true,
	};

	assert_int_equal(acpi_build(&config, t->data, sizeof(t->data), LAYOUT_ACPI, &t->len, NULL),
			 0);
}

/* A table by its signature, from the XSDT or, the DSDT, from the FADT. */
static const uint8_t *find(const struct tables *t, const char *signature)
{
	const uint8_t *xsdt = &t->data[le64_load(t->data + 24) - LAYOUT_ACPI];

	if (!strcmp(signature, "XSDT"))
		return xsdt;
	for (uint32_t i = 36; i < le32_load(xsdt + 4); i += 8) {
		const uint8_t *table = &t->data[le64_load(xsdt + i) - LAYOUT_ACPI];
		if (!memcmp(table, signature, 4))
			return table;
		if (!memcmp(table, "FACP", 4) && !strcmp(signature, "DSDT"))
			return &t->data[le32_load(table + 40) - LAYOUT_ACPI];
	}
	return NULL;
}

/* Runs iasl in dir with up to two arguments; its output goes to dir/log. Exit status, -1: there is none. */
static int iasl(const char *dir, const char *flag, const char *file)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (chdir(dir) < 0)
			_exit(126);
		int log = openat(AT_FDCWD, "log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		if (log < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
			_exit(126);
		execlp("iasl", "iasl", flag, file, (char *)NULL);
		_exit(errno == ENOENT ? 127 : 126);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status) == 127 ? -1 : WEXITSTATUS(status);
}

static char *read_text(const char *dir, const char *name)
{
	static char text[TEXT_BYTES];
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	size_t n = fread(text, 1, sizeof(text) - 1, file);
	text[n] = '\0';
	assert_int_equal(fclose(file), 0);
	return text;
}

static void write_table(const char *dir, const char *name, const uint8_t *table)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(table, 1, le32_load(table + 4), file), le32_load(table + 4));
	assert_int_equal(fclose(file), 0);
}

/* Disassembles a table into dir/SIGNATURE.dsl and compiles it again. */
static void round_trip(const char *dir, const struct tables *t, const char *signature)
{
	char name[16], source[16];

	(void)snprintf(name, sizeof(name), "%s.aml", signature);
	(void)snprintf(source, sizeof(source), "%s.dsl", signature);
	write_table(dir, name, find(t, signature));
	assert_int_equal(iasl(dir, "-d", name), 0);
	assert_int_equal(iasl(dir, "-ve", source), 0);
	char *log = read_text(dir, "log");
	if (strstr(log, "Error ") || strstr(log, "rror:") || strstr(log, "nvalid"))
		fail_msg("%s: %s", signature, log);
}

static void every_table_disassembles_and_compiles_again(void **state)
{
	static const char *const signatures[] = { "DSDT", "FACP", "APIC", "MCFG", "XSDT" };
	const struct scratch *scratch = *state;
	static struct tables t;

	if (iasl(scratch->path, "-v", NULL) < 0)
		SKIP("iasl is not installed");
	build(&t, 300);
	for (unsigned i = 0; i < ARRAY_SIZE(signatures); i++)
		round_trip(scratch->path, &t, signatures[i]);
}

/* What a reader of the source sees. */
static void the_source_says_what_was_meant(void **state)
{
	static const char *const says[] = {
		"Name (_HID, EisaId (\"PNP0A08\")",
		"Name (_CID, EisaId (\"PNP0A03\")",
		"Name (_HID, EisaId (\"PNP0C02\")",
		"Name (_HID, EisaId (\"PNP0501\")",
		"Name (_HID, EisaId (\"PNP0B00\")",
		"Name (_HID, EisaId (\"PNP0303\")",
		"Name (_HID, \"QEMU0002\")",
		"Method (_OSC, 4, Serialized)",
		"ToUUID (\"33db4d5b-1ff7-401c-9657-7441c03dd766\")",
		"WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode",
		"WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange",
		"QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite",
		"0x0000004000000000, // Range Minimum",
		"0x0000004FFFFFFFFF, // Range Maximum",
		"Memory32Fixed (ReadWrite",
		"0xB0000000,         // Address Base",
		"0x10000000,         // Address Length",
		"Name (\\_S5, Package (0x04)",
	};
	const struct scratch *scratch = *state;
	static struct tables t;

	if (iasl(scratch->path, "-v", NULL) < 0)
		SKIP("iasl is not installed");
	build(&t, 1);
	write_table(scratch->path, "DSDT.aml", find(&t, "DSDT"));
	assert_int_equal(iasl(scratch->path, "-d", "DSDT.aml"), 0);
	char *source = read_text(scratch->path, "DSDT.dsl");
	for (unsigned i = 0; i < ARRAY_SIZE(says); i++) {
		if (!strstr(source, says[i]))
			fail_msg("not in the source: %s", says[i]);
	}
}

static unsigned count(const uint8_t *data, size_t len, const void *what, size_t n)
{
	unsigned found = 0;

	for (const uint8_t *p = data; (p = memmem(p, len - (size_t)(p - data), what, n)); p++)
		found++;
	return found;
}

/* Slot 3, INTB#: package of four, 0x0003ffff, 1, 0, GSI 20. */
static void every_slot_and_pin_has_a_route(void **state)
{
	static const uint8_t route[] = { 0x12, 11, 4, 0x0c, 0xff, 0xff, 3, 0, 1, 0, 0x0a, 20 };
	static struct tables t;

	(void)state;
	build(&t, 1);
	const uint8_t *dsdt = find(&t, "DSDT");
	uint32_t len = le32_load(dsdt + 4);
	assert_int_equal(count(dsdt, len, route, sizeof(route)), 1);
	/* Slot 0's addresses are 0xffff, in two bytes. */
	assert_int_equal(count(dsdt, len, "\x04\x0c\xff\xff", 4), 31 * 4);
	assert_int_equal(count(dsdt, len, "\x04\x0b\xff\xff", 4), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(every_table_disassembles_and_compiles_again),
		SCRATCH_TEST(the_source_says_what_was_meant),
		cmocka_unit_test(every_slot_and_pin_has_a_route),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
