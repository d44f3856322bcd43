/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/private.h"

static const char *const schema_versions[] = {
	"CREATE TABLE instance ("
	" id TEXT NOT NULL UNIQUE,"
	" name TEXT NOT NULL UNIQUE,"
	" image TEXT NOT NULL REFERENCES images (id)," /* hex; so none goes while an instance is made of it */
	" summary TEXT NOT NULL,"  /* of the spec: what a list shows, a fraction of it to parse */
	" spec TEXT NOT NULL,"	   /* JSON, docs/spec.md */
	" state INTEGER NOT NULL," /* enum instance_state */
	" exit_code INTEGER NOT NULL DEFAULT 0,"
	" oom_killed INTEGER NOT NULL DEFAULT 0,"
	" restarts INTEGER NOT NULL DEFAULT 0,"
	" stopped INTEGER NOT NULL DEFAULT 0," /* by the user */
	" error TEXT NOT NULL DEFAULT '',"
	" created_ns INTEGER NOT NULL,"
	" started_ns INTEGER NOT NULL DEFAULT 0,"
	" finished_ns INTEGER NOT NULL DEFAULT 0"
	");"
	"CREATE INDEX instance_image ON instance (image);",
	/* A virtual machine may run a kernel without an image: then it is NULL. */
	"CREATE TABLE instance_new ("
	" id TEXT NOT NULL UNIQUE,"
	" name TEXT NOT NULL UNIQUE,"
	" image TEXT REFERENCES images (id),"
	" summary TEXT NOT NULL,"
	" spec TEXT NOT NULL,"
	" state INTEGER NOT NULL,"
	" exit_code INTEGER NOT NULL DEFAULT 0,"
	" oom_killed INTEGER NOT NULL DEFAULT 0,"
	" restarts INTEGER NOT NULL DEFAULT 0,"
	" stopped INTEGER NOT NULL DEFAULT 0,"
	" error TEXT NOT NULL DEFAULT '',"
	" created_ns INTEGER NOT NULL,"
	" started_ns INTEGER NOT NULL DEFAULT 0,"
	" finished_ns INTEGER NOT NULL DEFAULT 0"
	");"
	"INSERT INTO instance_new (id, name, image, summary, spec, state, exit_code, oom_killed, restarts, stopped,"
	" error, created_ns, started_ns, finished_ns) SELECT id, name, image, summary, spec, state, exit_code,"
	" oom_killed, restarts, stopped, error, created_ns, started_ns, finished_ns FROM instance;"
	"DROP TABLE instance;"
	"ALTER TABLE instance_new RENAME TO instance;"
	"CREATE INDEX instance_image ON instance (image);",

	/* What `ps` shows of the spec, which it need not parse for that: hundreds of them, each time. */
	"ALTER TABLE instance ADD COLUMN ref TEXT NOT NULL DEFAULT '';"	 /* the image, as typed */
	"ALTER TABLE instance ADD COLUMN virt TEXT NOT NULL DEFAULT '';" /* the engine */
	"ALTER TABLE instance ADD COLUMN command TEXT NOT NULL DEFAULT '';" /* its words, a blank between */
	"UPDATE instance SET"
	" ref = ifnull(json_extract(spec, '$.image'), ''),"
	" virt = ifnull(json_extract(spec, '$.virt'), ''),"
	" command = ifnull((SELECT group_concat(value, ' ') FROM json_each(spec, '$.args')), '');",

	/* The server that it runs on, where that is another one: --host. "": this host */
	"ALTER TABLE instance ADD COLUMN host TEXT NOT NULL DEFAULT '';",
};

const struct db_schema manager_schema = {
	.room = "manager",
	.versions = schema_versions,
	.count = ARRAY_SIZE(schema_versions),
};
