/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/image.h"

#include "base/core/macros.h"

/*
 * images.layers is what image_find() needs, in one column: diff ids, lowest first. image_layers
 * holds the same list as rows, with the blob of each, to count references.
 */
static const char *const storage_versions[] = {
	"CREATE TABLE images (id TEXT PRIMARY KEY, manifest TEXT NOT NULL, config TEXT NOT NULL,"
	" layers TEXT NOT NULL, size INTEGER NOT NULL, created_ns INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX images_manifest ON images (manifest);"
	"CREATE TABLE image_layers (image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,"
	" position INTEGER NOT NULL, diff TEXT NOT NULL, blob TEXT NOT NULL, type TEXT NOT NULL,"
	" PRIMARY KEY (image, position)) WITHOUT ROWID;"
	"CREATE INDEX image_layers_diff ON image_layers (diff);"
	"CREATE INDEX image_layers_blob ON image_layers (blob);"
	"CREATE TABLE tags (name TEXT PRIMARY KEY,"
	" image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE) WITHOUT ROWID;"
	"CREATE INDEX tags_image ON tags (image);"
	"CREATE TABLE volumes (name TEXT PRIMARY KEY, labels TEXT NOT NULL,"
	" anonymous INTEGER NOT NULL, created_ns INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE volume_users (volume TEXT NOT NULL REFERENCES volumes (name) ON DELETE CASCADE,"
	" user TEXT NOT NULL, PRIMARY KEY (volume, user)) WITHOUT ROWID;"
	"CREATE INDEX volume_users_user ON volume_users (user);",
	/* enum volume_kind, and the bytes of a disk */
	"ALTER TABLE volumes ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE volumes ADD COLUMN size_bytes INTEGER NOT NULL DEFAULT 0;",
};

const struct db_schema storage_schema = {
	.room = "storage",
	.versions = storage_versions,
	.count = ARRAY_SIZE(storage_versions),
};
