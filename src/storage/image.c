/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/buf.h"
#include "base/os/json.h"
#include "storage/image_priv.h"
#include "storage/ref.h"

#define IMAGE_COLUMNS                                                                              \
	"i.id, i.config, i.layers, i.size, i.created_ns, "                                         \
	"(SELECT group_concat(name, ' ') FROM (SELECT name FROM tags WHERE image = i.id "          \
	"ORDER BY name))"

static void words_free(char **words)
{
	for (size_t i = 0; words && words[i]; i++)
		free(words[i]);
	free(words);
}

/* "a b c" as a NULL-ended array; neither tags nor digests hold spaces. */
static char **words_split(const char *text)
{
	size_t n = 1;

	for (const char *p = text; *p; p++)
		n += *p == ' ';
	char **words = calloc(n + 1, sizeof(*words));
	for (size_t i = 0; words && *text; i++) {
		size_t len = strcspn(text, " ");
		words[i] = strndup(text, len);
		if (!words[i]) {
			words_free(words);
			return NULL;
		}
		text += len + (text[len] == ' ');
	}
	return words;
}

void image_fini(struct image *image)
{
	words_free(image->tags);
	words_free(image->layers);
	json_decref(image->config);
	free(image->note);
	*image = (struct image){ 0 };
}

static int image_row(sqlite3_stmt *stmt, struct image *ret, struct err *err)
{
	struct image image = { .size_bytes = db_col_int(stmt, 3),
			       .created_ns = db_col_int(stmt, 4) };
	const char *config = db_col_str(stmt, 1);

	(void)snprintf(image.id, sizeof(image.id), "%s", db_col_str(stmt, 0)); /* our own digest */
	image.layers = words_split(db_col_str(stmt, 2));
	image.tags = words_split(db_col_str(stmt, 5));
	int r = image.layers && image.tags ? 0 : err_set(err, ENOMEM, "read image");
	if (r == 0)
		r = json_parse(config, strlen(config), "image config", &image.config, err);
	if (r < 0) {
		image_fini(&image);
		return r;
	}
	*ret = image;
	return 0;
}

static int image_query(struct store *store, sqlite3_stmt *stmt, struct image *ret, struct err *err)
{
	int r = db_step(&store->db, stmt, err);

	if (r <= 0)
		return r;
	r = image_row(stmt, ret, err);
	return r < 0 ? r : 1;
}

/*
 * Tags are kept as they were typed, so a short name and its long form are looked up both ways:
 * "alpine" is also "docker.io/library/alpine" (what Podman writes), and the other way round.
 */
static int image_by_tag(struct store *store, const struct ref *ref, struct image *ret,
			struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	const char *tag = ref->tag[0] ? ref->tag : "latest";
	const char *name = ref->name;
	static const char *const hubs[] = { "docker.io/library/", "docker.io/", "localhost/" };
	const char *bare = name;

	for (size_t i = 0; bare == name && i < ARRAY_SIZE(hubs); i++) {
		if (!strncmp(name, hubs[i], strlen(hubs[i])))
			bare = name + strlen(hubs[i]);
	}
	char *forms[4] = { NULL };
	int r = 0;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		const char *hub = i == 0 ? "" : hubs[i - 1];
		const char *base = i == 0 ? name : bare;
		if (asprintf(&forms[i], "%s%s:%s", i == 1 && bare != name ? "" : hub, base, tag) <
		    0) {
			forms[i] = NULL;
			r = err_set(err, ENOMEM, "find image");
		}
	}
	if (r == 0)
		r = db_prepare(&store->db, &stmt, err,
			       "SELECT " IMAGE_COLUMNS
			       " FROM tags t JOIN images i ON i.id = t.image "
			       "WHERE t.name IN (?1, ?2, ?3, ?4) ORDER BY t.name = ?1 DESC, "
			       "t.name = ?2 DESC, t.name = ?3 DESC LIMIT 1",
			       "ssss", forms[0], forms[1], forms[2], forms[3]);
	if (r == 0)
		r = image_query(store, stmt, ret, err);
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		free(forms[i]);
	return r;
}

static int image_by_digest(struct store *store, const char *hex, struct image *ret, struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;

	int r = db_prepare(&store->db, &stmt, err,
			   "SELECT " IMAGE_COLUMNS " FROM images i "
			   "WHERE i.manifest = ?1 OR i.id = ?1 LIMIT 1",
			   "s", hex);
	return r < 0 ? r : image_query(store, stmt, ret, err);
}

static int image_by_prefix(struct store *store, const char *ref, struct image *ret, struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	char last[DIGEST_HEX + 2];

	/* 'g' follows every hex digit. */
	(void)snprintf(last, sizeof(last), "%sg", ref); /* fits: the caller measured */
	int r = db_prepare(&store->db, &stmt, err,
			   "SELECT " IMAGE_COLUMNS " FROM images i WHERE i.id >= ? AND i.id < ? "
			   "LIMIT 2",
			   "ss", ref, last);
	if (r == 0)
		r = image_query(store, stmt, ret, err);
	if (r <= 0)
		return r;
	r = db_step(&store->db, stmt, err);
	if (r == 0)
		return 1;
	image_fini(ret);
	return r < 0 ? r
		     : err_say(err, ENOTUNIQ,
			       "image id %s: several images start so: give more digits", ref);
}

static bool image_is_prefix(const char *ref)
{
	size_t n = strspn(ref, "0123456789abcdef");

	return n >= 2 && n <= DIGEST_HEX && !ref[n];
}

int image_find(struct store *store, const char *text, struct image *ret, struct err *err)
{
	const char *id = strncmp(text, "sha256:", 7) ? text : text + 7;
	bool is_prefix = image_is_prefix(id);
	struct image image = { 0 };
	struct ref ref;
	int r = 0;

	if (id == text && !digest_is_hex(text)) {
		/* What is no name may still be half an id; what is neither gets the name's error. */
		r = ref_parse(text, &ref, is_prefix ? NULL : err);
		if (r == 0 && ref.digest[0])
			r = image_by_digest(store, ref.digest, &image, err);
		else if (r == 0)
			r = image_by_tag(store, &ref, &image, err);
		else if (is_prefix)
			r = 0;
	}
	if (r == 0 && is_prefix)
		r = image_by_prefix(store, id, &image, err);
	if (r < 0)
		return r;
	if (r == 0)
		return err_say(
			err, ENOENT,
			"no such image: %.200s (strata image list shows what is here, strata image "
			"pull fetches more)",
			text);
	*ret = image;
	return 0;
}

int image_ref_id(struct store *store, const char *ref, char ret_id[DIGEST_HEX + 1], struct err *err)
{
	AUTO(image_fini) struct image image = { 0 };
	int r = image_find(store, ref, &image, err);

	if (r == 0)
		memcpy(ret_id, image.id, sizeof(image.id));
	return r;
}

static void images_free(struct image *images, size_t n)
{
	for (size_t i = 0; i < n; i++)
		image_fini(&images[i]);
	free(images);
}

int image_list(struct store *store, struct image **ret, size_t *ret_n, struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	struct image *images = NULL;
	size_t n = 0;

	int r = db_prepare(
		&store->db, &stmt, err,
		"SELECT " IMAGE_COLUMNS " FROM images i ORDER BY i.created_ns DESC, i.id", "");
	while (r == 0 && (r = db_step(&store->db, stmt, err)) == 1) {
		struct image *more = reallocarray(images, n + 1, sizeof(*images));
		if (more)
			images = more;
		r = more ? image_row(stmt, &images[n], err) : err_set(err, ENOMEM, "list images");
		n += r == 0;
	}
	if (r < 0) {
		images_free(images, n);
		return r;
	}
	*ret = images;
	*ret_n = n;
	return 0;
}

int image_tag_set(struct store *store, const char *id, const char *tag, struct err *err)
{
	return db_run(&store->db, err, "INSERT OR REPLACE INTO tags (name, image) VALUES (?, ?)",
		      "ss", tag, id);
}

int image_tag(struct store *store, const char *ref, const char *tag, struct err *err)
{
	char full[REF_MAX];
	char id[DIGEST_HEX + 1];

	int r = ref_tag(tag, full, err);
	if (r == 0)
		r = db_begin(&store->db, true, err);
	if (r < 0)
		return r;
	r = image_ref_id(store, ref, id, err);
	if (r == 0)
		r = image_tag_set(store, id, full, err);
	if (r == 0)
		r = db_commit(&store->db, err);
	if (r < 0)
		db_rollback(&store->db);
	return r;
}
