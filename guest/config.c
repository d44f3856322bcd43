/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engines/vmm/agent_frame.h"

#define CONFIG_SECCOMP_MAX 4096U /* Linux's BPF_MAXINSNS */
#define CONFIG_FILTER_SIZE 8U	 /* sizeof(struct sock_filter) */

void config_fini(struct config *config)
{
	free(config->args);
	free(config->env);
	free(config->groups);
	free(config->directories);
	free(config->sysctls);
	free(config->payload);
	*config = (struct config){ 0 };
}

static int config_bad(const struct frame_field *field, struct err *err)
{
	return err_say(err, EPROTO, "the host's message: field %u is damaged", field->tag);
}

/* The byte after a string is the next field's head, or the NUL that ends the payload: config_terminate() needs it. */
static int config_text(const struct frame_field *field, const char **ret, struct err *err)
{
	if (!frame_text_ok(field->data, field->len))
		return config_bad(field, err);
	*ret = (const char *)field->data;
	return 0;
}

static int config_list(const struct frame_field *field, char **list, size_t *n, struct err *err)
{
	const char *text = NULL;
	int r = config_text(field, &text, err);

	if (r == 0)
		list[(*n)++] = (char *)(uintptr_t)text; /* ours: points into config->payload */
	return r;
}

static int config_number(const struct frame_field *field, uint64_t *ret, struct err *err)
{
	return frame_field_u64(field, ret) < 0 ? config_bad(field, err) : 0;
}

static int config_struct(const struct frame_field *field, void *ret, size_t size, struct err *err)
{
	if (field->len != size)
		return config_bad(field, err);
	memcpy(ret, field->data, size);
	return 0;
}

/* One more of a fixed array. */
static int config_item(const struct frame_field *field, void *array, size_t size, size_t *n,
		       size_t max, struct err *err)
{
	if (*n == max)
		return err_say(err, E2BIG, "the host's message: more than %zu fields %u", max,
			       field->tag);
	int r = config_struct(field, (char *)array + *n * size, size, err);
	*n += r == 0;
	return r;
}

static int config_seccomp(const struct frame_field *field, struct config *config, struct err *err)
{
	if (!field->len || field->len % CONFIG_FILTER_SIZE ||
	    field->len / CONFIG_FILTER_SIZE > CONFIG_SECCOMP_MAX)
		return config_bad(field, err);
	config->seccomp = field->data;
	config->n_seccomp = field->len / CONFIG_FILTER_SIZE;
	return 0;
}

static int config_mount(const struct frame_field *field, struct config *config, struct err *err)
{
	struct agent_mount head;
	const char *texts[4];

	if (config->n_mounts == CONFIG_MOUNTS)
		return err_say(err, E2BIG, "the host's message: more than %d mounts",
			       CONFIG_MOUNTS);
	if (field->len < sizeof(head))
		return config_bad(field, err);
	memcpy(&head, field->data, sizeof(head));
	const char *at = (const char *)field->data + sizeof(head);
	const char *end = (const char *)field->data + field->len;
	for (size_t i = 0; i < 4; i++) {
		const char *nul = at < end ? memchr(at, '\0', (size_t)(end - at)) : NULL;
		if (!nul)
			return config_bad(field, err);
		texts[i] = at;
		at = nul + 1;
	}
	bool placed = head.kind == AGENT_MOUNT_VOLUME || head.kind == AGENT_MOUNT_TMPFS;
	if (at != end || head.kind < AGENT_MOUNT_ROOT || head.kind > AGENT_MOUNT_TMPFS ||
	    (placed && texts[2][0] != '/'))
		return config_bad(field, err);
	config->mounts[config->n_mounts++] = (struct config_mount){
		.kind = (enum agent_mount_kind)head.kind,
		.read_only = head.flags & AGENT_MOUNT_READ_ONLY,
		.copy_up = head.kind == AGENT_MOUNT_VOLUME && head.flags & AGENT_MOUNT_COPY_UP,
		.source = texts[0],
		.type = texts[1],
		.target = texts[2],
		.options = texts[3],
	};
	return 0;
}

/* 1: not a field of a process. */
static int config_process(const struct frame_field *field, struct config *config, struct err *err)
{
	switch (field->tag) {
	case AGENT_TAG_ARG:
		return config_list(field, config->args, &config->n_args, err);
	case AGENT_TAG_ENV:
		return config_list(field, config->env, &config->n_env, err);
	case AGENT_TAG_GROUP:
		return config_list(field, config->groups, &config->n_groups, err);
	case AGENT_TAG_CWD:
		return config_text(field, &config->cwd, err);
	case AGENT_TAG_USER:
		return config_text(field, &config->user, err);
	case AGENT_TAG_FLAGS:
		return config_number(field, &config->flags, err);
	case AGENT_TAG_CAPS:
		return config_number(field, &config->caps, err);
	case AGENT_TAG_RLIMIT:
		return config_item(field, config->rlimits, sizeof(config->rlimits[0]),
				   &config->n_rlimits, CONFIG_RLIMITS, err);
	case AGENT_TAG_SECCOMP:
		return config_seccomp(field, config, err);
	case AGENT_TAG_SIZE:
		return config_struct(field, &config->size, sizeof(config->size), err);
	default:
		return 1;
	}
}

static int config_machine(const struct frame_field *field, struct config *config, struct err *err)
{
	switch (field->tag) {
	case AGENT_TAG_HOSTNAME:
		return config_text(field, &config->hostname, err);
	case AGENT_TAG_HOSTS:
		return config_text(field, &config->hosts, err);
	case AGENT_TAG_RESOLV:
		return config_text(field, &config->resolv, err);
	case AGENT_TAG_NET:
		return config_item(field, config->nets, sizeof(config->nets[0]), &config->n_nets,
				   CONFIG_NETS, err);
	case AGENT_TAG_MOUNT:
		return config_mount(field, config, err);
	case AGENT_TAG_SHM_BYTES:
		return config_number(field, &config->shm_bytes, err);
	case AGENT_TAG_CLOCK:
		return config_number(field, &config->clock_ns, err);
	case AGENT_TAG_PIDS:
		return config_number(field, &config->pids, err);
	case AGENT_TAG_DIRECTORY:
		if (!field->len || *(const char *)field->data != '/')
			return config_bad(field, err);
		return config_list(field, config->directories, &config->n_directories, err);
	case AGENT_TAG_SYSCTL:
		return config_list(field, config->sysctls, &config->n_sysctls, err);
	default:
		return 1;
	}
}

static int config_field(enum agent_type type, const struct frame_field *field,
			struct config *config, struct err *err)
{
	int r = config_process(field, config, err);

	if (r > 0 && type == AGENT_CONFIG)
		r = config_machine(field, config, err);
	if (r <= 0)
		return r;
	if (field->tag & AGENT_OPTIONAL)
		return 0;
	return err_say(err, EPROTO, "the host's message: this guest knows no field %u", field->tag);
}

/*
 * Room for the lists. The environment gets three more: HOME, TERM, the end. Every field counts in each list: it is a
 * bound, and the payload itself is bounded.
 */
static int config_alloc(struct config *config, size_t fields)
{
	config->args = calloc(fields + 1, sizeof(char *));
	config->env = calloc(fields + 3, sizeof(char *));
	config->groups = calloc(fields + 1, sizeof(char *));
	config->directories = calloc(fields + 1, sizeof(char *));
	config->sysctls = calloc(fields + 1, sizeof(char *));
	return config->args && config->env && config->groups && config->directories &&
			       config->sysctls
		       ? 0
		       : -ENOMEM;
}

static int config_check(struct config *config, struct err *err)
{
	static const char *const empty = "";

	if (!config->n_args)
		return err_say(err, EPROTO, "the host's message names no command");
	config->cwd = config->cwd && config->cwd[0] ? config->cwd : "/";
	config->user = config->user ? config->user : empty;
	if (config->cwd[0] != '/')
		return err_say(err, EPROTO,
			       "the host's message: working directory %s is not absolute",
			       config->cwd);
	return 0;
}

/* Strings have no NUL on the wire; once every head was read, the byte behind each string is free for one. */
static void config_terminate(const struct config *config, size_t len)
{
	struct frame_fields fields = { (const uint8_t *)config->payload,
				       (const uint8_t *)config->payload + len };
	struct frame_field field;
	char *last = NULL;

	while (frame_fields_next(&fields, &field) > 0) {
		if (last)
			*last = '\0';
		last = config->payload + ((const char *)field.data - config->payload) + field.len;
	}
}

int config_parse(enum agent_type type, const void *payload, size_t len, struct config *ret,
		 struct err *err)
{
	AUTO(config_fini) struct config config = { .payload = malloc(len + 1) };
	struct frame_field field;
	size_t n = 0;
	int r;

	if (!config.payload)
		return err_set(err, ENOMEM, "the host's message");
	if (len)
		memcpy(config.payload, payload, len);
	config.payload[len] = '\0';
	const uint8_t *at = (const uint8_t *)config.payload;
	struct frame_fields fields = { at, at + len };
	while ((r = frame_fields_next(&fields, &field)) > 0)
		n++;
	if (r < 0)
		return err_say(err, EPROTO, "the host's message is damaged");
	if (config_alloc(&config, n) < 0)
		return err_set(err, ENOMEM, "the host's message");
	fields = (struct frame_fields){ at, at + len };
	for (r = 0; r == 0 && frame_fields_next(&fields, &field) > 0;)
		r = config_field(type, &field, &config, err);
	if (r < 0)
		return r;
	config_terminate(&config, len);
	r = config_check(&config, err);
	if (r < 0)
		return r;
	*ret = config;
	config = (struct config){ 0 };
	return 0;
}
