/* SPDX-License-Identifier: Apache-2.0 */
/* What is here and how it does: info, stats, processes, boot. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "manager/private.h"

/* What asking an engine about something takes, which must run for that. */
static int info_running(const struct instance *instance, const struct engine_ops **ret_engine,
			struct spec *ret_view, struct err *err)
{
	if (instance->pid <= 0)
		return instance_not_running(instance, err);
	*ret_view = instance_view(instance);
	return instance_engine(instance, ret_engine, err);
}

int manager_stats(struct manager *manager, const struct instance *instance,
		  struct stats_session *session, struct guest_stats *ret, struct err *err)
{
	const bool paused = instance->state == INSTANCE_PAUSED;
	const struct engine_ops *engine;
	char run_dir[4096];
	struct spec view;
	int r = info_running(instance, &engine, &view, err);

	if (r == 0 && instance_dir(manager, instance->id, true, run_dir) < 0)
		r = err_set(err, ENAMETOOLONG, "statistics");
	if (r < 0)
		return r;
	(void)signal(SIGPIPE, SIG_IGN); /* a valid signal: cannot fail */
	r = engine->stats(&view, run_dir, instance->pid, paused, session, ret, err);
	const json_t *limits = json_object_get(instance->spec, "limits");
	ret->net_rx_limit_bits = (uint64_t)json_int(limits, "ingress_bits", 0);
	ret->net_tx_limit_bits = (uint64_t)json_int(limits, "egress_bits", 0);
	return r;
}

/* CPU time of a process from /proc/PID/stat, after the name, which may hold anything. */
static double info_cpu_seconds(const char *stat)
{
	const char *p = strrchr(stat, ')');
	unsigned long user, system;

	/* proc_pid_stat(5): utime and stime are fields 14 and 15, state is 3 */
	if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
			 &system) != 2)
		return 0;
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static json_t *info_process(pid_t pid)
{
	AUTO(buf_fini) struct buf command = { 0 };
	AUTO(buf_fini) struct buf stat_text = { 0 };
	char path[64];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%d", (int)pid); /* fits */
	AUTO(fd_close_p) int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fstat(dir, &st) < 0 || file_read(dir, "stat", 4096, &stat_text) < 0)
		return NULL;
	(void)file_read(dir, "cmdline", 1 << 16, &command); /* a cut one is still telling */
	for (size_t i = 0; i < command.len; i++) {
		if (!command.data[i] || (unsigned char)command.data[i] < 0x20)
			command.data[i] = ' ';
	}
	while (command.len && command.data[command.len - 1] == ' ')
		command.data[--command.len] = '\0'; /* some programs blank what followed */
	json_t *text = json_string(buf_str(&command));
	double seconds = info_cpu_seconds(buf_str(&stat_text));
	char time[32], user[16];
	(void)snprintf(time, sizeof(time), "%lu:%02lu", (unsigned long)seconds / 60,
		       (unsigned long)seconds % 60); /* fits */
	/* A number: what it is called is the instance's business, whose passwd file may say anything. */
	(void)snprintf(user, sizeof(user), "%u", st.st_uid); /* fits */
	return json_pack("{s:i,s:s,s:s,s:f,s:o}", "pid", (int)pid, "user", user, "time", time,
			 "cpu_seconds", seconds, "command", text ? text : json_string("?"));
}

const char *manager_cpu(const struct instance *instance)
{
	const json_t *vm = json_object_get(instance->spec, "vm");
	const struct engine_ops *engine;
	struct spec view = instance_view(instance);

	if (!vm || instance_engine(instance, &engine, NULL) < 0 || !engine->cpu)
		return NULL;
	view.vm.agent = json_bool(vm, "agent", false);
	view.vm.kernel = json_str(vm, "kernel", NULL);
	return engine->cpu(&view);
}

int manager_processes(const struct instance *instance, json_t **ret, struct err *err)
{
	const struct engine_ops *engine;
	struct spec view;
	pid_t *pids = NULL;
	size_t n = 0;
	int r = info_running(instance, &engine, &view, err);

	if (r == 0)
		r = engine->processes(&view, instance->pid, &pids, &n, err);
	if (r < 0)
		return r;
	json_t *rows = json_array();
	for (size_t i = 0; i < n; i++) {
		json_t *row = info_process(pids[i]);
		if (row) /* else it ended while we looked */
			(void)json_array_append_new(rows, row);
	}
	free(pids);
	*ret = rows;
	return 0;
}

static json_t *info_engines(void)
{
	json_t *list = json_array();

	for (size_t i = 0; engines[i]; i++) {
		struct engine_report report = { 0 };
		engines[i]->probe(&report);
		(void)json_array_append_new(
			list, json_pack("{s:s,s:b,s:s,s:s}", "name", engines[i]->name, "available",
					report.available, "how", report.how, "why", report.why));
	}
	return list;
}

static int info_count(struct manager *manager, const char *sql)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	struct db *db = &manager->store.db;

	if (db_prepare(db, &stmt, NULL, sql, "") < 0 || db_step(db, stmt, NULL) != 1)
		return 0;
	return (int)db_col_int(stmt, 0);
}

static json_t *info_host(void)
{
	struct utsname host = { 0 };
	struct sysinfo memory = { 0 };

	(void)uname(&host);	/* a valid pointer: cannot fail */
	(void)sysinfo(&memory); /* likewise */
	return json_pack("{s:s,s:s,s:s,s:i,s:I}", "name", host.nodename, "kernel", host.release,
			 "machine", host.machine, "cpus", (int)sysconf(_SC_NPROCESSORS_ONLN),
			 "memory_bytes", (json_int_t)memory.totalram * memory.mem_unit);
}

int manager_info(struct manager *manager, json_t **ret, struct err *err)
{
	struct statvfs disk = { 0 };

	(void)fstatvfs(manager->store.root_fd, &disk); /* our own open directory */
	json_t *info = json_pack(
		"{s:s,s:o,s:{s:s,s:s,s:I},s:i,s:i,s:o}", "version", STRATA_VERSION, "host",
		info_host(), "store", "root", manager->store.root, "run_root",
		manager->store.run_root, "free_bytes",
		(json_int_t)disk.f_bavail * (json_int_t)disk.f_frsize, "instances",
		info_count(manager, "SELECT count(*) FROM instance"), "running",
		info_count(manager, "SELECT count(*) FROM instance WHERE state IN (1, 2, 3)"),
		"engines", info_engines());
	if (!info)
		return err_set(err, ENOMEM, "info");
	*ret = info;
	return 0;
}

/* Docker's rules at the daemon's start: `docker run`, "Restart policies (--restart)". */
static bool boot_wants(const struct instance *instance)
{
	const char *policy = json_str(json_object_get(instance->spec, "restart"), "policy", "no");

	if (instance->state != INSTANCE_EXITED && instance->state != INSTANCE_DEAD)
		return false;
	if (!strcmp(policy, "always"))
		return true;
	if (!strcmp(policy, "unless-stopped"))
		return !instance->stopped_by_user;
	return !strcmp(policy, "on-failure") && instance->state == INSTANCE_DEAD;
}

int manager_boot(struct manager *manager, unsigned *ret_started, struct err *err)
{
	struct instance *list = NULL;
	size_t n = 0;
	unsigned started = 0;
	int r = manager_list(manager, true, LIST_SUMMARY, &list, &n, err);

	/* Oldest first: what was made earlier is often what the later one needs. */
	for (size_t i = n; r == 0 && i-- > 0;) {
		struct err one = { 0 };
		int status;
		if (!boot_wants(&list[i]))
			continue;
		if (manager_start(manager, &list[i], NULL, &status, &one) == 0)
			started++;
		else
			(void)err_say(err, one.code, "%s",
				      one.text); /* the others start all the same */
	}
	instances_free(list, n);
	if (r == 0 && err && err->code)
		r = -err->code;
	*ret_started = started;
	return r;
}
