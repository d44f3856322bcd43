/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/compare.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/core/macros.h"
#include "base/os/clock.h"
#include "base/os/log.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "compare/report.h"
#include "storage/image.h"

#define COMPARE_IMAGE  "strata-bench"
#define COMPARE_MEMORY "512m"
#define COMPARE_WIDTH  100
#define COMPARE_STATE                                                                              \
	"compare.json" /* below the root: the last comparison, where no other file was named */
#define COMPARE_MEMORY_MIN  (INT64_C(6) << 20) /* bytes: `strata run`'s own */
#define COMPARE_WORSE	    1		       /* exit status with --fail-above */
#define EXIT_INTERRUPTED    130		       /* as a shell says it of SIGINT */
#define COMPARE_PERCENT_MAX 100000

static const struct opt compare_opts[] = {
	{ 0, OPT_GROUP, "", NULL, "What is measured" },
	{ 0, OPT_TEXT, "virt", "ARCH,...", "only these beside the host (all that can run here)" },
	{ 0, OPT_SWITCH, "suite", NULL, "the built-in suite in IMAGE, not IMAGE's own command" },
	{ 0, OPT_LIST, "metric", "GLOB,...", "only these of the suite: 'life.*,cpu.*'" },
	{ 0, OPT_TEXT, "parse", "REGEX", "a number of the command's: the first group" },
	{ 0, OPT_GROUP, "", NULL, "How long" },
	{ 0, OPT_SWITCH, "quick", NULL, NULL },
	{ 0, OPT_SWITCH, "standard", NULL, NULL },
	{ 0, OPT_SWITCH, "full", NULL, "few metrics and 5 runs; 10; all and 20 (--standard)" },
	{ 0, OPT_TEXT, "runs", "N", "how often each is measured; 0: only show" },
	{ 0, OPT_TEXT, "timeout", "DURATION", "how long one run may take" },
	{ 0, OPT_GROUP, "", NULL, "Limits, the same for all" },
	{ 'm', OPT_TEXT, "memory", "SIZE", "memory (" COMPARE_MEMORY ")" },
	{ 0, OPT_TEXT, "cpus", "N", "CPUs, always the same ones (2, or what there is)" },
	{ 0, OPT_GROUP, "", NULL, "What comes out" },
	{ 'f', OPT_TEXT, "format", "table|json|csv|md|html", "how to show it" },
	{ 'o', OPT_TEXT, "output", "FILE", "into a file" },
	{ 0, OPT_TEXT, "baseline", "FILE", "show what differs from an earlier one (-f json)" },
	{ 0, OPT_TEXT, "fail-above", "PERCENT", "exit with 1 where more than that is worse" },
	{ 0, OPT_TEXT, "continue", "FILE", "measure only what is missing in it" },
	{ 0 },
};

struct compare_call {
	const struct args *args;
	struct compare_request request;
	const char **virt, **globs; /* owned arrays of borrowed words */
	char *virt_text, *globs_text, *state;
	const char *format, *output;
	struct result baseline;
	bool has_baseline;
	bool saved;	 /* the file of -o is the one that is saved all along */
	bool show;	 /* --runs 0: nothing is measured */
	int64_t percent; /* --fail-above; -1: not given */
};

static void compare_call_fini(struct compare_call *call)
{
	free(call->virt);
	free(call->globs);
	free(call->virt_text);
	free(call->globs_text);
	free(call->state);
	result_fini(&call->baseline);
}

/* Cuts text at its commas, in place. */
static int compare_words(char *text, const char ***ret, const char *flag, struct err *err)
{
	size_t n = 1, at = 0;
	char *save = NULL;

	for (const char *c = text; *c; c++)
		n += *c == ',';
	const char **words = calloc(n + 1, sizeof(*words));
	if (!words)
		return err_set(err, ENOMEM, "compare");
	for (char *word = strtok_r(text, ",", &save); word; word = strtok_r(NULL, ",", &save))
		words[at++] = word;
	*ret = words;
	return at ? 0 : err_say(err, EINVAL, "%s: names nothing", flag);
}

static int compare_lists(struct compare_call *call, struct err *err)
{
	const char *virt = args_text(call->args, "virt", NULL);
	const struct args_value *globs = args_list(call->args, "metric");
	AUTO(buf_fini) struct buf all = { 0 };
	int r = 0;

	if (virt) {
		call->virt_text = strdup(virt);
		r = call->virt_text ? compare_words(call->virt_text, &call->virt, "--virt", err)
				    : err_set(err, ENOMEM, "compare");
	}
	for (unsigned i = 0; i < globs->count; i++)
		(void)buf_printf(&all, "%s%s", i ? "," : "", globs->texts[i]); /* sticky */
	if (r == 0 && globs->count) {
		call->globs_text = buf_steal(&all);
		r = call->globs_text
			    ? compare_words(call->globs_text, &call->globs, "--metric", err)
			    : err_set(err, ENOMEM, "compare");
	}
	call->request.virt = call->virt;
	call->request.globs = call->globs;
	return r;
}

static int compare_level(const struct args *args, enum compare_level *ret, struct err *err)
{
	static const char *const names[] = { "quick", "standard", "full" };
	unsigned given = 0;

	*ret = COMPARE_STANDARD;
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (!args_on(args, names[i]))
			continue;
		*ret = (enum compare_level)i;
		given++;
	}
	return given < 2 ? 0
			 : err_say(err, EINVAL, "--quick, --standard and --full: give one of them");
}

static int compare_numbers(struct compare_call *call, struct err *err)
{
	const struct args *args = call->args;
	const char *runs = args_text(args, "runs", NULL),
		   *timeout = args_text(args, "timeout", NULL);
	const char *cpus = args_text(args, "cpus", NULL),
		   *percent = args_text(args, "fail-above", NULL);
	int64_t n = 0, memory = 0, time_ns = 0;
	cpu_set_t here;
	int r = runs ? args_int(runs, "--runs", 0, COMPARE_RUNS_MAX, &n, err) : 0;

	call->request.runs = (unsigned)n;
	call->show = runs && !n;
	if (r == 0 && call->show && !args_given(args, "continue"))
		r = err_say(err, EINVAL,
			    "--runs 0: only shows what is there: name it (--continue FILE)");
	if (r == 0 && timeout)
		r = args_duration_ns(timeout, "--timeout", &time_ns, err);
	if (r == 0 && timeout && time_ns < NS_PER_S)
		r = err_say(err, EINVAL, "--timeout %s: a second at least", timeout);
	call->request.timeout =
		time_ns / NS_PER_S > 1000000 ? 1000000 : (unsigned)(time_ns / NS_PER_S);
	n = sched_getaffinity(0, sizeof(here), &here) == 0 && CPU_COUNT(&here) < 2 ? 1 : 2;
	if (r == 0 && cpus)
		r = args_int(cpus, "--cpus", 1, 64, &n, err);
	call->request.cpus = (unsigned)n;
	if (r == 0)
		r = args_size(args_text(args, "memory", COMPARE_MEMORY), "--memory", &memory, err);
	if (r == 0 && memory < COMPARE_MEMORY_MIN)
		r = err_say(err, EINVAL, "--memory must be at least 6m, not %s",
			    args_text(args, "memory", COMPARE_MEMORY));
	call->request.memory = (uint64_t)memory & ~(uint64_t)0xfff; /* a machine's is whole pages */
	call->percent = -1;
	if (r == 0 && percent)
		r = args_int(percent, "--fail-above", 0, COMPARE_PERCENT_MAX, &call->percent, err);
	return r;
}

static int compare_output(struct compare_call *call, struct err *err)
{
	static const char *const formats[] = { "table", "json", "csv", "md", "html" };
	const struct args *args = call->args;

	call->format = args_text(args, "format", "table");
	call->output = args_text(args, "output", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (strcmp(formats[i], call->format) != 0)
			continue;
		if (!strcmp(call->format, "html") && !call->output && isatty(STDOUT_FILENO))
			return err_say(
				err, EINVAL,
				"-f html: name a file (-o report.html), then open it in a browser");
		return 0;
	}
	return err_say(err, EINVAL, "--format: '%s' is none of table, json, csv, md, html",
		       call->format);
}

/* Whether two names are one file's. */
static bool compare_same_file(const char *a, const char *b)
{
	struct stat first, second;

	return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
	       first.st_ino == second.st_ino;
}

/*
 * The file that is saved after each sample: the one that is continued, the JSON that was asked for, else the store's own. It is
 * replaced each time: a link to it stays a link, and what is no file (a pipe, /dev/null) has the JSON at the end.
 */
static const char *compare_state_name(const struct compare_call *call)
{
	const char *go_on = args_text(call->args, "continue", NULL);
	struct stat stats;

	if (go_on)
		return go_on;
	if (strcmp(call->format, "json") != 0 || !call->output)
		return NULL;
	if (stat(call->output, &stats) == 0)
		return S_ISREG(stats.st_mode) ? call->output : NULL;
	return lstat(call->output, &stats) < 0 ? call->output : NULL; /* else a link to nowhere */
}

static int compare_state_check(const struct compare_call *call, struct err *err)
{
	const char *go_on = args_text(call->args, "continue", NULL);
	struct stat stats;

	if (!go_on)
		return 0;
	if (stat(go_on, &stats) == 0 && !S_ISREG(stats.st_mode))
		return err_say(err, EINVAL, "--continue %s: it is no plain file", go_on);
	if (call->output && strcmp(call->format, "json") != 0 &&
	    compare_same_file(go_on, call->output))
		return err_say(err, EINVAL, "-o %s: that is the file of --continue: name another",
			       call->output);
	return 0;
}

static int compare_state(struct compare_call *call, struct err *err)
{
	const char *name = compare_state_name(call);
	int r = compare_state_check(call, err);

	if (r < 0)
		return r;
	call->request.go_on = args_text(call->args, "continue", NULL) != NULL;
	if (name)
		call->state = realpath(name, NULL);
	if (!call->state &&
	    asprintf(&call->state, "%s%s%s", name ? name : call->request.manager->store.root,
		     name ? "" : "/", name ? "" : COMPARE_STATE) < 0)
		call->state = NULL;
	call->request.state = call->state;
	call->saved = name && call->output && !strcmp(call->format, "json") &&
		      (name == call->output || compare_same_file(name, call->output));
	return call->state ? 0 : err_set(err, ENOMEM, "compare");
}

static int compare_baseline(struct compare_call *call, struct err *err)
{
	const char *path = args_text(call->args, "baseline", NULL);

	if (!path)
		return call->percent < 0
			       ? 0
			       : err_say(err, EINVAL,
					 "--fail-above: name what it is above of (--baseline FILE)");
	int r = result_load(path, &call->baseline, err);
	call->has_baseline = r == 0;
	return r < 0 ? err_wrap(err, "--baseline") : 0;
}

static int compare_workload(struct compare_call *call, struct err *err)
{
	const struct args *args = call->args;

	call->request.suite = !args->argc || args_on(args, "suite");
	call->request.image = args->argc ? args->argv[0] : COMPARE_IMAGE;
	call->request.argv = args->argc > 1 ? (const char *const *)(args->argv + 1) : NULL;
	call->request.parse = args_text(args, "parse", NULL);
	if (call->request.argv && call->request.argv[0][0] == '-')
		return err_say(err, EINVAL,
			       "%s: flags come before the image: 'strata compare %s ... %s'",
			       args->argv[1], args->argv[1], args->argv[0]);
	if (call->request.suite && call->request.argv)
		return err_say(err, EINVAL, "--suite: runs its own programs: leave out '%s'",
			       args->argv[1]);
	if (call->request.suite && call->request.parse)
		return err_say(err, EINVAL,
			       "--parse: is for a command of yours: name an image and a command");
	if (!call->request.suite && call->globs)
		return err_say(err, EINVAL,
			       "--metric: chooses among the suite's: add --suite, or leave it out");
	return 0;
}

static int compare_read(struct cli *cli, struct compare_call *call, struct err *err)
{
	int r = compare_level(call->args, &call->request.level, err);

	if (r == 0)
		r = compare_lists(call, err);
	if (r == 0)
		r = compare_numbers(call, err);
	if (r == 0)
		r = compare_output(call, err);
	if (r == 0)
		r = compare_workload(call, err);
	if (r == 0)
		r = compare_check(&call->request, err);
	if (r == 0)
		r = compare_baseline(call, err);
	if (r == 0)
		r = cli_manager(cli, &call->request.manager, err);
	return r == 0 ? compare_state(call, err) : r;
}

/* ---- what comes out ---- */

static unsigned compare_width(void)
{
	struct winsize size = { 0 };

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col
									   : COMPARE_WIDTH;
}

static int compare_print(const struct compare_call *call, const struct result *result, FILE *out)
{
	const struct result *baseline = call->has_baseline ? &call->baseline : NULL;
	bool terminal = out == stdout && isatty(STDOUT_FILENO);

	if (!strcmp(call->format, "json"))
		return report_json(result, out);
	if (!strcmp(call->format, "csv"))
		return report_csv(result, out);
	if (!strcmp(call->format, "md"))
		return report_md(result, baseline, out);
	if (!strcmp(call->format, "html"))
		return report_html(result, baseline, out);
	return report_table(result, baseline, out, terminal && !getenv("NO_COLOR"),
			    terminal ? compare_width() : COMPARE_WIDTH);
}

static int compare_write(const struct compare_call *call, const struct result *result,
			 struct err *err)
{
	if (!call->output) {
		int r = compare_print(call, result, stdout);
		return r < 0 ? err_set(err, -r, "print the comparison") : 0;
	}
	if (call->saved)
		return 0;
	FILE *out = fopen(call->output, "we");
	if (!out)
		return err_set(err, errno, "write %s", call->output);
	int r = compare_print(call, result, out);
	if (fclose(out) != 0 && r == 0)
		r = -errno;
	return r < 0 ? err_set(err, -r, "write %s", call->output) : 0;
}

static int compare_verdict(const struct compare_call *call, const struct result *result)
{
	if (call->percent < 0)
		return 0;
	int worse = report_regressions(result, &call->baseline, (double)call->percent);
	if (worse <= 0)
		return 0;
	log_warn("%d figure%s got worse by more than %lld %%", worse, worse == 1 ? "" : "s",
		 (long long)call->percent);
	return COMPARE_WORSE;
}

/*
 * An output that cannot be written is seen before the work. Who reads from a pipe would see its end already.
 * @ret_made: whether the file was not there before
 */
static int compare_try_output(const struct compare_call *call, bool *ret_made, struct err *err)
{
	struct stat stats;
	bool is = call->output && stat(call->output, &stats) == 0;

	if (!call->output || (is && S_ISFIFO(stats.st_mode)))
		return 0;
	FILE *out = fopen(call->output, "ae");
	if (!out)
		return err_set(err, errno, "write %s", call->output);
	(void)fclose(out); /* nothing was written */
	*ret_made = !is;
	return 0;
}

static bool compare_has_samples(const struct result *result)
{
	for (size_t i = 0; i < result->n_metrics * result->n_columns; i++) {
		if (result->cells[i].n)
			return true;
	}
	return false;
}

/* What was measured before it failed (a full disk) is not kept back; the failure is what is told. */
static void compare_failed(const struct compare_call *call, const struct result *result, bool made)
{
	if (compare_has_samples(result))
		(void)compare_write(call, result, NULL);
	else if (made)
		(void)unlink(call->output);
}

/* That it is the suite's image that is not there, not some file. */
static bool compare_lacks_image(const struct compare_call *call)
{
	struct image image = { 0 };
	int r = call->args->argc
			? 0
			: image_find(&call->request.manager->store, COMPARE_IMAGE, &image, NULL);

	image_fini(&image);
	return r == -ENOENT;
}

static int compare_call(const struct compare_call *call, struct err *err)
{
	struct result result = { 0 };
	bool interrupted = false, made = false;
	int r = compare_try_output(call, &made, err);

	if (r == 0)
		r = call->show ? result_load(call->state, &result, err)
			       : compare_run(&call->request, &result, &interrupted, err);
	if (r < 0)
		compare_failed(call, &result, made);
	if (r == -ENOENT && !call->show && compare_lacks_image(call))
		r = err_say(
			err, ENOENT,
			"there is no image %s yet: 'strata image build-bench' makes it, or name another: "
			"'strata compare --suite IMAGE'",
			COMPARE_IMAGE);
	if (r == 0) {
		r = compare_write(call, &result, err);
		if (r < 0)
			log_warn("what was measured is in %s: --continue shows it",
				 call->request.state);
	}
	if (r == 0 && interrupted)
		log_warn(
			"interrupted: the same command with --continue %s measures what is missing",
			call->request.state);
	if (r == 0)
		r = interrupted ? EXIT_INTERRUPTED : compare_verdict(call, &result);
	result_fini(&result);
	return r;
}

static int compare_main(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(compare_call_fini) struct compare_call call = { .args = args };
	int r = compare_read(cli, &call, err);

	return r < 0 ? r : compare_call(&call, err);
}

const struct cmd cmd_compare = {
	.name = "compare",
	.operands = "[IMAGE [COMMAND [ARG...]]]",
	.summary = "Measure architectures side by side",
	.notes = "A COMMAND's own numbers are those of a JSON object on its last line.\n"
		 "Without IMAGE: the built-in suite ('strata image build-bench' makes its image).",
	.opts = compare_opts,
	.stop_at_operand = true,
	.max_operands = -1,
	.run = compare_main,
};
