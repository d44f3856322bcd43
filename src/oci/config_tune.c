/* SPDX-License-Identifier: Apache-2.0 */
/* config.md, "Linux Process": scheduler, ioPriority, execCPUAffinity and labels; config-linux.md, "Personality". */
#include <errno.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <string.h>
#include <sys/personality.h>

#include "oci/config.h"

/* linux/sched.h, "For the sched_{set,get}attr() calls". */
static const struct {
	const char *name;
	uint64_t flag;
} tune_flags[] = {
	{ "SCHED_FLAG_RESET_ON_FORK", 0x01 },  { "SCHED_FLAG_RECLAIM", 0x02 },
	{ "SCHED_FLAG_DL_OVERRUN", 0x04 },     { "SCHED_FLAG_KEEP_POLICY", 0x08 },
	{ "SCHED_FLAG_KEEP_PARAMS", 0x10 },    { "SCHED_FLAG_UTIL_CLAMP_MIN", 0x20 },
	{ "SCHED_FLAG_UTIL_CLAMP_MAX", 0x40 },
};

static uint64_t tune_flag(const struct reader *rd, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(tune_flags); i++) {
		if (!strcmp(tune_flags[i].name, name))
			return tune_flags[i].flag;
	}
	reader_fail(rd, "flags", EINVAL, "'%.40s' is not known", name);
	return 0;
}

static void tune_scheduler(const struct reader *rd, struct tune_scheduler *ret)
{
	static const char *const policies[] = { "SCHED_OTHER",	  "SCHED_FIFO", "SCHED_RR",
						"SCHED_BATCH",	  "SCHED_ISO",	"SCHED_IDLE",
						"SCHED_DEADLINE", NULL };
	const struct reader in = reader_enter(rd, "scheduler");
	size_t n;

	if (!in.obj)
		return;
	ret->set = true;
	ret->policy = (uint32_t)reader_word(&in, "policy", policies,
					    -1); /* their order is the kernel's */
	const bool fixed = ret->policy == SCHED_FIFO || ret->policy == SCHED_RR;
	const bool deadline = ret->policy == 6;
	ret->nice = (int32_t)reader_int(&in, "nice", -20, 19, 0);
	ret->priority = (uint32_t)reader_int(&in, "priority", 0, 99, 0);
	if (ret->priority && !fixed)
		reader_fail(&in, "priority", EINVAL, "is for SCHED_FIFO and SCHED_RR");
	ret->runtime_ns = reader_u64(&in, "runtime", 0);
	ret->deadline_ns = reader_u64(&in, "deadline", 0);
	ret->period_ns = reader_u64(&in, "period", 0);
	if (!deadline && (ret->runtime_ns || ret->deadline_ns || ret->period_ns))
		reader_fail(&in, "runtime", EINVAL, "deadline and period are for SCHED_DEADLINE");
	const char **flags = reader_strings(&in, "flags", &n);
	for (size_t i = 0; i < n; i++)
		ret->flags |= tune_flag(&in, flags[i]);
}

static void tune_io(const struct reader *rd, struct tune *ret)
{
	static const char *const classes[] = { "IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE",
					       "IOPRIO_CLASS_IDLE", NULL };
	const struct reader in = reader_enter(rd, "ioPriority");

	if (!in.obj)
		return;
	ret->set_io = true;
	ret->io_class = IOPRIO_CLASS_RT + reader_word(&in, "class", classes, -1);
	ret->io_priority = (int)reader_int(&in, "priority", 0, 7, 0);
}

static bool tune_cpu_list(const struct reader *rd, const char *key, cpu_set_t *ret)
{
	const char *text = reader_str(rd, key, "");

	if (!*text)
		return false;
	if (tune_cpus_parse(text, ret) < 0)
		reader_fail(rd, key, EINVAL, "'%.40s' is no list of CPUs or nodes, as 0-3,7", text);
	return true;
}

void config_read_tune(const struct reader *rd, struct bundle_process *process)
{
	const struct reader cpus = reader_enter(rd, "execCPUAffinity");
	struct tune *tune = &process->tune;

	tune_scheduler(rd, &tune->scheduler);
	tune_io(rd, tune);
	tune->set_initial = tune_cpu_list(&cpus, "initial", &tune->initial);
	tune->set_final = tune_cpu_list(&cpus, "final", &tune->final);
	process->apparmor = reader_str(rd, "apparmorProfile", NULL);
	/* Nobody asks for a profile by asking for none. */
	if (process->apparmor && (!*process->apparmor || !strcmp(process->apparmor, "unconfined")))
		process->apparmor = NULL;
	process->selinux = reader_str(rd, "selinuxLabel", NULL);
}

/* linux/mempolicy.h, "Policies" and "Flags for set_mempolicy". */
static const struct {
	const char *name;
	int value;
} memory_modes[] = {
	{ "MPOL_DEFAULT", 0 },	  { "MPOL_PREFERRED", 1 }, { "MPOL_BIND", 2 },
	{ "MPOL_INTERLEAVE", 3 }, { "MPOL_LOCAL", 4 },	   { "MPOL_PREFERRED_MANY", 5 },
	{ "MPOL_WEIGHTED_INTERLEAVE", 6 },
}, memory_flags[] = {
	{ "MPOL_F_STATIC_NODES", 1 << 15 },
	{ "MPOL_F_RELATIVE_NODES", 1 << 14 },
	{ "MPOL_F_NUMA_BALANCING", 1 << 13 },
};

const char *config_memory_word(bool modes, unsigned i)
{
	if (modes)
		return i < ARRAY_SIZE(memory_modes) ? memory_modes[i].name : NULL;
	return i < ARRAY_SIZE(memory_flags) ? memory_flags[i].name : NULL;
}

static unsigned memory_find(const struct reader *rd, const char *key, bool modes, const char *word)
{
	unsigned i = 0;
	const char *name;

	while ((name = config_memory_word(modes, i)) && strcmp(name, word) != 0)
		i++;
	if (!name)
		reader_fail(rd, key, EINVAL, "'%.40s' is not known", word);
	return name ? i : 0;
}

/* Which of them go together is the kernel's to say. */
void config_read_memory_policy(const struct reader *rd, struct bundle *bundle)
{
	const struct reader in = reader_enter(rd, "memoryPolicy");
	struct tune_memory *memory = &bundle->memory;
	size_t n;

	if (!in.obj)
		return;
	const char *mode = reader_str(&in, "mode", NULL);
	if (!mode) {
		reader_fail(&in, "mode", EINVAL, "is missing");
		return;
	}
	memory->set = true;
	memory->mode = memory_modes[memory_find(&in, "mode", true, mode)].value;
	const char **flags = reader_strings(&in, "flags", &n);
	for (size_t i = 0; i < n; i++)
		memory->mode |= memory_flags[memory_find(&in, "flags", false, flags[i])].value;
	memory->has_nodes = tune_cpu_list(&in, "nodes", &memory->nodes);
}

void config_read_personality(const struct reader *rd, struct bundle *bundle)
{
	static const char *const domains[] = { "LINUX", "LINUX32", NULL };
	static const unsigned long is[] = { PER_LINUX, PER_LINUX32 };
	const struct reader in = reader_enter(rd, "personality");

	if (!in.obj)
		return;
	bundle->set_personality = true;
	bundle->personality = is[reader_word(&in, "domain", domains, -1)];
	reader_refuse(&in, "flags", "the specification has none");
}
