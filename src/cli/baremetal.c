/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/buf.h"
#include "base/core/macros.h"
#include "base/os/log.h"
#include "cli/cmd.h"
#include "cli/verbs.h"
#include "engines/baremetal/hosts.h"
#include "engines/baremetal/media.h"

static const struct opt baremetal_image_opts[] = {
	{ 'o', OPT_TEXT, "output", "FILE", "NAME.iso, NAME.efi, or NAME/: a new directory" },
	{ 0, OPT_TEXT, "config", "FILE", "the guests to start at power-on (JSON)" },
	{ 0, OPT_TEXT, "words", "TEXT", "the hypervisor's command line: console=com2" },
	{ 0, OPT_SWITCH, "self-test", NULL, "test the server instead of starting guests" },
	{ 0 },
};

static int baremetal_image_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(media_fini) struct media media = { .n_files = 0 };
	const char *out = args_text(args, "output", NULL),
		   *config = args_text(args, "config", NULL);
	bool is_test = args_on(args, "self-test");
	AUTO(buf_fini) struct buf words = { 0 };
	int r = 0;

	(void)cli;
	if (is_test && config)
		return err_say(err, EINVAL, "--self-test starts no guests of a --config");
	if (!out)
		return err_say(err, EINVAL,
			       "-o says what to make: NAME.iso, NAME.efi or a directory");
	if (config)
		r = media_config(&media, config, err);
	for (int i = 0; r == 0 && i < args->argc; i++)
		r = media_add(&media, args->argv[i], NULL, err);
	if (r == 0 && is_test)
		r = media_self_test(&media, err);
	(void)buf_printf(&words, "%s%s", args_text(args, "words", ""),
			 is_test ? " " MEDIA_SELF_TEST : "");
	if (r == 0 && words.failed)
		r = err_set(err, ENOMEM, "make %s", out);
	r = r < 0 ? r : media_build(&media, out, buf_str(&words), err);
	if (r == 0)
		(void)puts(out); /* main() looks at ferror(stdout) */
	return r;
}

static const struct cmd cmd_baremetal_image = {
	.name = "image",
	.operands = "[FILE...]",
	.summary = "Make what a server boots the hypervisor from",
	.notes = "Further FILEs are put beside the guests' and loaded with them.\n"
		 "--self-test: the server says what it is, runs programs that check themselves\n"
		 "as guests on every CPU, and counts what passed and failed, on its console.\n"
		 "It writes to no disk.",
	.opts = baremetal_image_opts,
	.max_operands = -1,
	.run = baremetal_image_run,
};

static const struct opt lab_start_opts[] = {
	{ 'm', OPT_TEXT, "memory", "SIZE", "for guests and their files (default: 1g)" },
	{ 0, OPT_TEXT, "cpus", "N", "of the server (default: 1)" },
	{ 0, OPT_TEXT, "config", "FILE", "the guests to start at power-on (JSON)" },
	{ 0, OPT_LIST, "disk", "FILE[,ro]", "a disk of the server's: vd0, vd1 ..." },
	{ 0, OPT_TEXT, "words", "TEXT", "the hypervisor's command line" },
	{ 0 },
};

#define LAB_DISKS      8U
#define LAB_MEMORY_MIN (INT64_C(64) << 20)

/* "FILE,ro". QEMU's file formats are ours by the name: storage/disk/disk.h. */
static int lab_disk(const char *text, char path[4096], struct lab_disk *ret, struct err *err)
{
	char typed[4096];
	size_t len = strlen(text);
	bool ro = len > 3 && !strcmp(text + len - 3, ",ro");

	len -= ro ? 3 : 0;
	(void)snprintf(typed, sizeof(typed), "%.*s", (int)(len < 4095 ? len : 4095), text);
	if (len >= sizeof(typed) || !realpath(typed, path))
		return err_set(err, len >= sizeof(typed) ? ENAMETOOLONG : errno, "--disk %s", text);
	const char *dot = strrchr(path, '.');
	*ret = (struct lab_disk){ .path = path,
				  .format = dot && !strcmp(dot, ".qcow2") ? "qcow2" : "raw",
				  .read_only = ro };
	return 0;
}

static int lab_start_run(struct cli *cli, const struct args *args, struct err *err)
{
	const char *memory = args_text(args, "memory", "1g"), *cpus = args_text(args, "cpus", "1");
	const struct args_value *disks = args_list(args, "disk");
	struct lab_disk list[LAB_DISKS];
	char paths[LAB_DISKS][4096];
	struct manager *manager;
	int64_t bytes, n;

	int r = args_size(memory, "--memory", &bytes, err);
	r = r < 0 ? r : args_int(cpus, "--cpus", 1, 64, &n, err);
	if (r == 0 && bytes < LAB_MEMORY_MIN)
		r = err_say(err, EINVAL, "--memory must be at least 64m, not %s", memory);
	if (r == 0 && disks->count > LAB_DISKS)
		r = err_say(err, EINVAL, "--disk: a lab has %u at most", LAB_DISKS);
	for (unsigned i = 0; r == 0 && i < disks->count; i++)
		r = lab_disk(disks->texts[i], paths[i], &list[i], err);
	r = r < 0 ? r : cli_manager(cli, &manager, err);
	if (r < 0)
		return r;
	const struct hosts_lab lab = {
		.name = args->argv[0],
		.config = args_text(args, "config", NULL),
		.words = args_text(args, "words", ""),
		.memory_bytes = (uint64_t)bytes,
		.cpus = (unsigned)n,
		.disks = list,
		.n_disks = disks->count,
	};
	r = hosts_lab_start(manager->store.run_root, &lab, err);
	if (r == 0)
		(void)puts(args->argv[0]); /* main() looks at ferror(stdout) */
	return r;
}

static int lab_stop_run(struct cli *cli, const struct args *args, struct err *err)
{
	struct manager *manager;
	bool failed = false;
	int r = cli_manager(cli, &manager, err);

	for (int i = 0; r == 0 && i < args->argc; i++) {
		*err = (struct err){ 0 };
		if (hosts_lab_stop(manager->store.run_root, args->argv[i], err) < 0) {
			failed = true;
			log_error(err);
		} else {
			(void)puts(args->argv[i]); /* main() looks at ferror(stdout) */
		}
	}
	return r < 0 ? r : failed ? EXIT_STRATA : 0;
}

static int lab_ls_run(struct cli *cli, const struct args *args, struct err *err)
{
	struct manager *manager;
	struct hv_lab *labs = NULL;
	size_t n = 0;
	int r = cli_manager(cli, &manager, err);

	(void)args;
	r = r < 0 ? r : hosts_lab_list(manager->store.run_root, &labs, &n, err);
	for (size_t i = 0; r == 0 && i < n; i++)
		(void)printf("%s\n", labs[i].name); /* main() looks at ferror(stdout) */
	free(labs);
	return r;
}

static const struct cmd cmd_lab_start = {
	.name = "start",
	.operands = "NAME",
	.summary = "Power on an emulated server that runs strata-hv",
	.notes = "QEMU's TCG emulates it: it shows that a guest runs, not how fast on a server.\n"
		 "'strata --host NAME run ...' then runs guests on it.",
	.opts = lab_start_opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = lab_start_run,
};
static const struct cmd cmd_lab_stop = {
	.name = "stop",
	.operands = "NAME...",
	.summary = "Switch emulated servers off, whatever runs on them",
	.min_operands = 1,
	.max_operands = -1,
	.run = lab_stop_run,
};
static const struct cmd cmd_lab_ls = {
	.name = "list",
	.alias = "ls",
	.summary = "List the emulated servers that run",
	.run = lab_ls_run,
};
static const struct cmd *const lab_subs[] = { &cmd_lab_start, &cmd_lab_stop, &cmd_lab_ls, NULL };
static const struct cmd cmd_baremetal_lab = {
	.name = "lab",
	.summary = "Emulated servers for strata-hv",
	.subs = lab_subs,
};
static const struct cmd *const baremetal_subs[] = { &cmd_baremetal_image, &cmd_baremetal_disk,
						    &cmd_baremetal_lab, NULL };

const struct cmd cmd_baremetal = {
	.name = "baremetal",
	.summary = "The bare-metal hypervisor",
	.subs = baremetal_subs,
};
