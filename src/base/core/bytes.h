/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Numbers in somebody else's byte order. A one-member struct each, so that a raw guest or file word cannot be
 * used by mistake; naturally aligned. xx_load() and xx_store() take any address.
 */
#include <stdint.h>
#include <string.h>

struct le16 {
	uint16_t raw;
};
struct le32 {
	uint32_t raw;
};
struct le64 {
	uint64_t raw;
};
struct be16 {
	uint16_t raw;
};
struct be32 {
	uint32_t raw;
};
struct be64 {
	uint64_t raw;
};

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "x86-64 hosts and guests only");

static inline uint16_t le16_get(struct le16 v)
{
	return v.raw;
}
static inline uint32_t le32_get(struct le32 v)
{
	return v.raw;
}
static inline uint64_t le64_get(struct le64 v)
{
	return v.raw;
}
static inline struct le16 le16_of(uint16_t v)
{
	return (struct le16){ v };
}
static inline struct le32 le32_of(uint32_t v)
{
	return (struct le32){ v };
}
static inline struct le64 le64_of(uint64_t v)
{
	return (struct le64){ v };
}
static inline uint16_t be16_get(struct be16 v)
{
	return __builtin_bswap16(v.raw);
}
static inline uint32_t be32_get(struct be32 v)
{
	return __builtin_bswap32(v.raw);
}
static inline uint64_t be64_get(struct be64 v)
{
	return __builtin_bswap64(v.raw);
}
static inline struct be16 be16_of(uint16_t v)
{
	return (struct be16){ __builtin_bswap16(v) };
}
static inline struct be32 be32_of(uint32_t v)
{
	return (struct be32){ __builtin_bswap32(v) };
}
static inline struct be64 be64_of(uint64_t v)
{
	return (struct be64){ __builtin_bswap64(v) };
}

static inline uint16_t le16_load(const void *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}
static inline uint32_t le32_load(const void *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}
static inline uint64_t le64_load(const void *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}
static inline void le16_store(void *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}
static inline void le32_store(void *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}
static inline void le64_store(void *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}
static inline uint16_t be16_load(const void *p)
{
	struct be16 v;
	memcpy(&v, p, sizeof(v));
	return be16_get(v);
}
static inline uint32_t be32_load(const void *p)
{
	struct be32 v;
	memcpy(&v, p, sizeof(v));
	return be32_get(v);
}
static inline uint64_t be64_load(const void *p)
{
	struct be64 v;
	memcpy(&v, p, sizeof(v));
	return be64_get(v);
}
static inline void be16_store(void *p, uint16_t v)
{
	struct be16 be = be16_of(v);
	memcpy(p, &be, sizeof(be));
}
static inline void be32_store(void *p, uint32_t v)
{
	struct be32 be = be32_of(v);
	memcpy(p, &be, sizeof(be));
}
static inline void be64_store(void *p, uint64_t v)
{
	struct be64 be = be64_of(v);
	memcpy(p, &be, sizeof(be));
}
