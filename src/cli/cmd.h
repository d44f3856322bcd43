/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The verb table. A verb is one file with one struct cmd; cli/main.c lists them all by hand.
 */
#include "cli/args.h"
#include "manager/manager.h"

#define EXIT_STRATA	125 /* strata itself failed, as docker run(1) "Exit Status" */
#define EXIT_CANNOT_RUN 126 /* the command was found and cannot be run */
#define EXIT_NOT_FOUND	127 /* the command was not found */

struct cmd;

struct cmd_alias {
	const char *name; /* "rmi"; NULL ends the table */
	const struct cmd *cmd;
};

struct cli {
	const char *root;     /* --root, or NULL */
	const char *run_root; /* --run-root, or NULL */
	const char *host;     /* --host, or NULL */
	struct manager manager;
	bool opened;
	/* what there is to complete: main's tables */
	const struct cmd *const *cmds;
	const struct cmd_alias *aliases;
	const struct opt *opts;
};

struct cmd {
	const char *name;
	const char *alias;    /* a second name at the same place ("ls" for "list"), or NULL */
	const char *operands; /* "IMAGE [COMMAND [ARG...]]" */
	const char *summary;  /* one line, no full stop */
	const char *notes;    /* further lines for --help, or NULL */
	const struct opt *opts;
	bool stop_at_operand;
	int min_operands;
	int max_operands;	       /* -1: any number */
	const struct cmd *const *subs; /* a noun's verbs, NULL-ended; then run is NULL */
	bool hidden;
	/* Return: the process's exit status, or a negative errno with err set (main prints it). */
	int (*run)(struct cli *cli, const struct args *args, struct err *err);
};

/* cli_manager() - the manager, opened at first use; its fds are closed by main(). */
int cli_manager(struct cli *cli, struct manager **ret, struct err *err);
/* cmd_find() - by name or alias; NULL where there is none. */
const struct cmd *cmd_find(const struct cmd *const *cmds, const char *name);

/* A verb without flags; --help needs none. */
extern const struct opt no_opts[];
