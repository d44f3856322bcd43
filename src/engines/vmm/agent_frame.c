/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/agent_frame.h"

#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"

#define FRAME_HEAD 8U

void frame_reader_init(struct frame_reader *reader, size_t max)
{
	*reader = (struct frame_reader){ .max = max };
}

void frame_reader_fini(struct frame_reader *reader)
{
	buf_fini(&reader->body);
	frame_reader_init(reader, reader->max);
}

static size_t frame_min(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* A buffer that once held a large frame is given back: most frames are small. */
static void frame_reader_next(struct frame_reader *reader)
{
	if (reader->body.cap > 2 * FRAME_HEAD + 65536)
		buf_fini(&reader->body);
	reader->body.len = 0;
	reader->n_head = 0;
	reader->done = false;
}

static int frame_reader_head(struct frame_reader *reader, const uint8_t *data, size_t len,
			     size_t *used)
{
	size_t n = frame_min(FRAME_HEAD - reader->n_head, len);

	memcpy(reader->head + reader->n_head, data, n);
	reader->n_head += n;
	*used += n;
	if (reader->n_head < FRAME_HEAD)
		return 0;
	reader->type = le32_load(reader->head);
	reader->len = le32_load(reader->head + 4);
	return reader->len > reader->max ? -EPROTO : 1;
}

int frame_reader_feed(struct frame_reader *reader, const void *data, size_t len, size_t *ret_used)
{
	const uint8_t *bytes = data;
	size_t used = 0;
	int r = 1;

	if (reader->done)
		frame_reader_next(reader);
	if (reader->n_head < FRAME_HEAD)
		r = frame_reader_head(reader, bytes, len, &used);
	if (r <= 0) {
		*ret_used = used;
		return r;
	}
	size_t n = frame_min(reader->len - reader->body.len, len - used);
	/* Even an empty body is text: buf_add() ends it with a NUL. */
	r = buf_add(&reader->body, bytes + used, n);
	*ret_used = used + n;
	if (r < 0)
		return r;
	reader->done = reader->body.len == reader->len;
	return reader->done;
}

int frame_fields_next(struct frame_fields *fields, struct frame_field *ret)
{
	size_t left = (size_t)(fields->end - fields->at);

	if (left == 0)
		return 0;
	if (left < FRAME_HEAD)
		return -EPROTO;
	uint32_t len = le32_load(fields->at + 4);
	if (len > left - FRAME_HEAD)
		return -EPROTO;
	*ret = (struct frame_field){ le32_load(fields->at), fields->at + FRAME_HEAD, len };
	fields->at += FRAME_HEAD + len;
	return 1;
}

int frame_field_u64(const struct frame_field *field, uint64_t *ret)
{
	if (field->len != sizeof(*ret))
		return -EPROTO;
	*ret = le64_load(field->data);
	return 0;
}

bool frame_text_ok(const void *data, size_t len)
{
	return len == 0 || !memchr(data, '\0', len);
}

size_t frame_begin(struct buf *buf, uint32_t type)
{
	uint8_t head[FRAME_HEAD] = { 0 };
	size_t at = buf->len;

	le32_store(head, type);
	(void)buf_add(buf, head, sizeof(head)); /* sticky */
	return at;
}

void frame_end(struct buf *buf, size_t at)
{
	if (buf->failed)
		return;
	if (buf->len - at - FRAME_HEAD > UINT32_MAX) {
		buf->failed = true;
		return;
	}
	le32_store(buf->data + at + 4, (uint32_t)(buf->len - at - FRAME_HEAD));
}

void frame_add(struct buf *buf, uint32_t type, const void *data, size_t len)
{
	size_t at = frame_begin(buf, type);

	(void)buf_add(buf, data, len); /* sticky */
	frame_end(buf, at);
}

void frame_field_add(struct buf *buf, uint32_t tag, const void *data, size_t len)
{
	uint8_t head[FRAME_HEAD];

	if (len > UINT32_MAX) {
		buf->failed = true;
		return;
	}
	le32_store(head, tag);
	le32_store(head + 4, (uint32_t)len);
	(void)buf_add(buf, head, sizeof(head)); /* sticky */
	(void)buf_add(buf, data, len);		/* sticky */
}

void frame_field_add_text(struct buf *buf, uint32_t tag, const char *text)
{
	if (text)
		frame_field_add(buf, tag, text, strlen(text));
}

void frame_field_add_u64(struct buf *buf, uint32_t tag, uint64_t value)
{
	uint8_t data[8];

	le64_store(data, value);
	frame_field_add(buf, tag, data, sizeof(data));
}
