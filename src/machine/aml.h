/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * ACPI Machine Language, as much as our DSDT needs, written into a buffer that never overflows: what does not fit is
 * dropped and aml.full says so at the end. Objects that have a length are opened and closed:
 *
 *	size_t device = aml_open(aml, AML_DEVICE);
 *	aml_path(aml, "COM1");
 *	...
 *	aml_close(aml, device);
 *
 * Source: ACPI 6.3, 20 ACPI Machine Language (AML) Specification; 6.4 Resource Data Types for ACPI.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *data; /* borrowed */
	size_t size, len;
	bool full; /* something did not fit: the rest is garbage */
};

/* Opcodes: 20.3 AML Byte Stream Byte Values; those above 0xff have the prefix 0x5b. */
enum aml_op {
	AML_SCOPE = 0x10,
	AML_BUFFER = 0x11,
	AML_PACKAGE = 0x12,
	AML_METHOD = 0x14,
	AML_LOCAL0 = 0x60,
	AML_ARG0 = 0x68,
	AML_ARG1 = 0x69,
	AML_ARG3 = 0x6b,
	AML_OR = 0x7d,
	AML_CREATE_DWORD_FIELD = 0x8a,
	AML_LNOT = 0x92,
	AML_LEQUAL = 0x93,
	AML_IF = 0xa0,
	AML_ELSE = 0xa1,
	AML_RETURN = 0xa4,
	AML_DEVICE = 0x5b82,
};

/* Which space a window of a bridge is in: 6.4.3.5 Address Space Resource Descriptors, Resource Type. */
enum aml_window { AML_WINDOW_MEMORY, AML_WINDOW_PORTS, AML_WINDOW_BUS };

/* aml_op() - an opcode without a length; its operands follow. */
void aml_op(struct aml *aml, enum aml_op op);
void aml_bytes(struct aml *aml, const void *data, size_t len);
void aml_byte(struct aml *aml, uint8_t value);
/* aml_path() - one name, with "\\" in front for the root; fewer than 4 letters are filled up with "_". */
void aml_path(struct aml *aml, const char *path);
/* aml_name() - Name(name, ...): the object follows. */
void aml_name(struct aml *aml, const char *name);
void aml_integer(struct aml *aml, uint64_t value);
void aml_string(struct aml *aml, const char *text);
/* aml_eisa_id() - "PNP0A08" as the compressed number. */
void aml_eisa_id(struct aml *aml, const char *id);

/* aml_open(), aml_close() - an object with a length around what is emitted in between; they nest. */
size_t aml_open(struct aml *aml, enum aml_op op);
void aml_close(struct aml *aml, size_t object);

/* A resource template is a buffer: the descriptors of aml_ports() and so on come between the two. */
size_t aml_resources_open(struct aml *aml);
void aml_resources_close(struct aml *aml, size_t object);
/* Buffer with these bytes. */
void aml_buffer(struct aml *aml, const void *data, size_t len);
/* Ports that the device decodes with 16 bits. @len: 1..255 */
void aml_ports(struct aml *aml, uint16_t base, uint8_t len);
void aml_irq(struct aml *aml, unsigned irq); /* ISA: edge, active high, exclusive */
void aml_memory(struct aml *aml, uint32_t base, uint32_t bytes);
/* aml_window() - what a bridge passes on, first to last inclusive, in the smallest descriptor that holds it. */
void aml_window(struct aml *aml, enum aml_window type, uint64_t first, uint64_t last);
