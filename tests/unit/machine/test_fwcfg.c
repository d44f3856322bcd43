/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"
#include "machine/fwcfg.h"
#include "machine/layout.h"

#define DMA_READ   2U
#define DMA_SKIP   4U
#define DMA_SELECT 8U
#define DMA_WRITE  16U

#define RAM_BYTES 0x100000U

struct scene {
	struct bus pio;
	struct guest_mem mem;
	uint8_t ram[RAM_BYTES];
	struct fwcfg fwcfg;
};

static void scene_init(struct scene *s)
{
	memset(s, 0, sizeof(*s));
	assert_int_equal(mem_add(&s->mem, 0, RAM_BYTES, s->ram, false), 0);
	assert_int_equal(fwcfg_init(&s->fwcfg, &s->pio, &s->mem, 3, NULL), 0);
}

static void get(struct scene *s, uint16_t key, void *ret, size_t len)
{
	bus_write(&s->pio, PORT_FW_CFG, 2, key);
	for (size_t i = 0; i < len; i++)
		((uint8_t *)ret)[i] = (uint8_t)bus_read(&s->pio, PORT_FW_CFG + 1, 1);
}

static void items_are_what_test_images_ask(void **state)
{
	static struct scene s;
	uint8_t data[16];

	(void)state;
	scene_init(&s);
	get(&s, 0, data, 5);
	assert_memory_equal(data, "QEMU\0", 5);
	get(&s, 1, data, 4);
	assert_int_equal(le32_load(data), 3);
	get(&s, 3, data, 9);
	assert_int_equal(le64_load(data), RAM_BYTES);
	assert_int_equal(data[8], 0);
	get(&s, 5, data, 2);
	assert_int_equal(le16_load(data), 3);
	get(&s, 0x400f, data, 2); /* the bit that once meant writing */
	assert_int_equal(le16_load(data), 3);
	get(&s, 4, data, 2);
	assert_int_equal(le16_load(data), 1);
	get(&s, 0x8002, data, 4); /* an architecture's own */
	assert_int_equal(le32_load(data), 0);
	get(&s, 0x20, data, 4); /* no file yet */
	assert_int_equal(le32_load(data), 0);
}

static void odd_widths_are_not_registers(void **state)
{
	static struct scene s;
	uint8_t data[2];

	(void)state;
	scene_init(&s);
	get(&s, 0, data, 0);
	bus_write(&s.pio, PORT_FW_CFG, 1, 5);
	bus_write(&s.pio, PORT_FW_CFG + 1, 1, 5); /* read-only */
	assert_int_equal(bus_read(&s.pio, PORT_FW_CFG, 2), 0);
	assert_int_equal(bus_read(&s.pio, PORT_FW_CFG, 1), 0);
	assert_int_equal(bus_read(&s.pio, PORT_FW_CFG + 1, 1), 'Q');
}

static void files_are_in_the_directory(void **state)
{
	static struct scene s;
	uint8_t data[140];

	(void)state;
	scene_init(&s);
	get(&s, 0x19, data, 4);
	assert_int_equal(le32_load(data), 0);
	assert_int_equal(fwcfg_file_add(&s.fwcfg, "opt/a", "hello", 5, NULL), 0);
	assert_int_equal(fwcfg_file_add(&s.fwcfg, "opt/b", "", 0, NULL), 0);
	get(&s, 0x19, data, sizeof(data));
	assert_memory_equal(data, "\0\0\0\2\0\0\0\5\0\x20\0\0opt/a\0", 18);
	assert_memory_equal(data + 68, "\0\0\0\0\0\x21\0\0opt/b\0", 14);
	get(&s, 0x20, data, 6);
	assert_memory_equal(data, "hello\0", 6);
}

static void files_that_cannot_be_are_refused(void **state)
{
	static struct scene s;
	char name[FWCFG_NAME_BYTES + 1];
	struct err err = { 0 };

	(void)state;
	scene_init(&s);
	memset(name, 'x', sizeof(name));
	name[FWCFG_NAME_BYTES] = '\0';
	assert_int_equal(fwcfg_file_add(&s.fwcfg, name, "", 0, &err), -EINVAL);
	name[FWCFG_NAME_BYTES - 1] = '\0';
	assert_int_equal(fwcfg_file_add(&s.fwcfg, name, "", 0, &err), 0);
	assert_int_equal(fwcfg_file_add(&s.fwcfg, name, "", 0, &err), -EEXIST);
	assert_int_equal(fwcfg_file_add(&s.fwcfg, "", "", 0, &err), -EINVAL);
	assert_int_equal(fwcfg_file_add(&s.fwcfg, "big", "", UINT64_C(1) << 32, &err), -EINVAL);
	name[3] = '\0';
	for (unsigned i = 1; i < FWCFG_FILES; i++) {
		name[0] = (char)('A' + i);
		assert_int_equal(fwcfg_file_add(&s.fwcfg, name, "", 0, &err), 0);
	}
	assert_int_equal(fwcfg_file_add(&s.fwcfg, "more", "", 0, &err), -ENOSPC);
	assert_string_equal(err.text, "add fw_cfg file more: there are 16 already");
}

/* The result word that a transfer leaves at 0x100. */
static uint32_t dma(struct scene *s, uint32_t control, uint32_t len, uint64_t addr)
{
	uint8_t *access = &s->ram[0x100];

	le32_store(access, __builtin_bswap32(control));
	le32_store(access + 4, __builtin_bswap32(len));
	le64_store(access + 8, __builtin_bswap64(addr));
	bus_write(&s->pio, PORT_FW_CFG + 8, 4, __builtin_bswap32(0x100));
	return __builtin_bswap32(le32_load(access));
}

static void dma_says_that_it_is_there(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	assert_int_equal(bus_read(&s.pio, PORT_FW_CFG + 4, 4), le32_load("QEMU"));
	assert_int_equal(bus_read(&s.pio, PORT_FW_CFG + 8, 4), le32_load(" CFG"));
}

static void dma_reads_from_where_it_stands(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	assert_int_equal(fwcfg_file_add(&s.fwcfg, "f", "0123456789", 10, NULL), 0);
	assert_int_equal(dma(&s, 0x20 << 16 | DMA_SELECT | DMA_READ, 4, 0x200), 0);
	assert_memory_equal(s.ram + 0x200, "0123\0", 5);
	assert_int_equal(dma(&s, DMA_SKIP, 2, 0), 0);
	memset(s.ram + 0x200, 0xa5, 16);
	assert_int_equal(dma(&s, DMA_READ, 8, 0x200), 0);
	assert_memory_equal(s.ram + 0x200, "6789\0\0\0\0\xa5", 9); /* zeros past the end */
	assert_int_equal(dma(&s, DMA_SKIP, 0xffffffff, 0), 0);
	assert_int_equal(dma(&s, DMA_READ, 1, 0x200), 0);
	assert_int_equal(s.ram[0x200], 0);
	assert_int_equal(dma(&s, 0x20 << 16 | DMA_SELECT, 0, 0), 0);
	assert_int_equal(bus_read(&s.pio, PORT_FW_CFG + 1, 1), '0');
}

static void dma_outside_memory_is_an_error(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	assert_int_equal(dma(&s, DMA_READ, 4, RAM_BYTES - 3), 1);
	assert_int_equal(dma(&s, DMA_READ, 4, UINT64_MAX), 1);
	assert_int_equal(dma(&s, DMA_READ, 0xffffffff, 0), 1);
	assert_int_equal(dma(&s, DMA_READ, 0, UINT64_MAX), 0);
	assert_int_equal(dma(&s, DMA_WRITE, 4, 0x200), 1); /* nothing can be written */
	/* The access itself is nowhere; then half in RAM. */
	bus_write(&s.pio, PORT_FW_CFG + 4, 4, __builtin_bswap32(1));
	bus_write(&s.pio, PORT_FW_CFG + 8, 4, 0);
	bus_write(&s.pio, PORT_FW_CFG + 8, 4, __builtin_bswap32(RAM_BYTES - 8));
	bus_write(&s.pio, PORT_FW_CFG + 8, 2, 0);
	assert_int_equal(dma(&s, DMA_SELECT | DMA_READ, 4, 0x200),
			 0); /* the upper half is forgotten */
	assert_memory_equal(s.ram + 0x200, "QEMU", 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_are_what_test_images_ask),
		cmocka_unit_test(odd_widths_are_not_registers),
		cmocka_unit_test(files_are_in_the_directory),
		cmocka_unit_test(files_that_cannot_be_are_refused),
		cmocka_unit_test(dma_says_that_it_is_there),
		cmocka_unit_test(dma_reads_from_where_it_stands),
		cmocka_unit_test(dma_outside_memory_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
