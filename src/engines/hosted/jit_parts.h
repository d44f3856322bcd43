/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The translator's parts.
 *
 * Theory of operation.
 *
 *   jit.c            entry; where to go on: look-ups, links, jump tables
 *   jit_cache.c      the code cache: regions, blocks and their index, invalidation
 *   jit_translate.c  a block: decoding, liveness of flags, committing it
 *   jit_group.c      which memory accesses share a look-up
 *   jit_mem.c        memory operands: the inline look-up in the TLB
 *   jit_data.c       instructions that only compute
 *   jit_system.c     the hottest of the privileged ones
 *   jit_string.c     MOVS and STOS
 *   jit_flow.c       branches, calls, returns, the stack; exits
 *   jit_thunk.c      the ways in and out, made once per vcpu
 *   jit_slow.c       what those call: TLB misses, traps of the host's CPU
 *   jit_setup.c      memory, before the process is sealed
 *   emit*.c          host code, byte by byte
 *
 * One cache per vcpu: only its owner translates, links and executes; others only kill blocks (below).
 *
 * Registers. Guest registers are in the host registers of the same name, RSP too: translated code never pushes, and signal handlers run
 * on a stack of their own. R10, R11, R15 are scratch; the guest's are in cpu->regs. An instruction that names one of them gets
 * it loaded into the host register of the same name, so that fields need no renaming; the address of a memory operand goes into
 * a scratch register that the instruction does not name.
 *
 * Flags. The guest's arithmetic flags are the host's. Where a look-up in the TLB would destroy flags that are still needed they are saved
 * (LAHF, SETO) to jit_gs.flags, and come back before the next instruction that reads or writes flags. Flags that nobody reads before
 * they are written again are not kept: a fault in between shows other values in the arithmetic flags of the frame it pushes.
 *
 * Memory. An operand's linear address is looked up in the TLB inline. Operands of a block at constant distances from one another make a
 * group: its first one looks up all of the group's bytes, for writing if any is written, and the others are found from where its first
 * byte is on the host. JIT_C, or JIT_A, keeps that until something else needs the register; then it comes again from jit_gs.group, where it
 * is written only in blocks that turn out to need it (body() is done once more). Of pages that are known it is the page's first byte.
 * That holds to the block's end: what makes a translation go (a flush, another vcpu's mmu_protect()) happens between blocks, and STAC and
 * CLAC end groups. Where a group's bytes lie on two pages, or may not all be accessed, C goes on in a second translation without groups
 * (JIT_MODE_PLAIN). A page fault is only ever that of the access whose turn it is.
 *
 * Edges. A block ends in edges to others. A direct one is a jump, first to a stub that asks C, then patched to the target; or it takes
 * the stub's place. An edge backward looks at cpu->poll first. An edge to another page compares jit_gs.stamp with what it was when it was linked: the stamp
 * changes with every change of mappings. At a direct edge flags are in the host's register, or saved already, or have to be
 * saved for the comparison: then they stay in jit_gs.flags, for the target to take if it wants any. An indirect one (RET too) has
 * the target in R11 and flags in jit_gs.flags, and looks into the jump table in force, one for each (mode, address space).
 * So each way around a loop looks at poll: it has an edge backward or an indirect one.
 *
 * Blocks are found by (linear address, physical address, mode). The linear address is a part of it so that RIP-relative operands and return
 * addresses are constants.
 *
 * Traps. What the host's CPU itself finds wrong with a re-emitted instruction (#DE, #UD, #GP by alignment, #XM, #MF) is a signal; the
 * handler calls jit_trap(), which puts the state before that instruction together and has it interpreted.
 *
 * Death of a block. Its first byte becomes INT3, by any thread, under the vcpu's lock. The owner takes away the links that lead to it
 * before it goes on from C; one that is in translated code meanwhile takes the trap. A vcpu that is inside goes on to the block's end, as a
 * CPU that has not serialized may. Memory comes back by regions, in turn, when no code is under way (the owner is in C).
 *
 * Pages with code. A bit for each page, set before mmu_protect(), before the bytes are read; reading them and putting the block into the
 * index is one critical section of the vcpu's lock, so that who writes later finds it. The bit is cleared with the locks of all vcpus held.
 */
#include "base/core/lock.h"
#include "engines/hosted/emit.h"
#include "engines/hosted/jit.h"

#define JIT_A	    X86_R10 /* scratch */
#define JIT_B	    X86_R15
#define JIT_C	    X86_R11
#define JIT_SCRATCH (1U << JIT_A | 1U << JIT_B | 1U << JIT_C)
#define JIT_GS(m)   (offsetof(struct hosted_cpu, jit_gs) + offsetof(struct jit_gs, m))
#define JIT_REG(n)  (offsetof(struct hosted_cpu, regs) + 8U * (n))

#define JIT_REGIONS	16U
#define JIT_REGION_MIN	(60U << 10) /* so that 1 MiB is enough: spec.h */
#define JIT_THUNK_BYTES 8192U
#define JIT_BLOCK_INSNS 64U
/* A loop of so many instructions at most is there so many times; not more of them together than that. */
#define JIT_ROUND_INSNS	 16U
#define JIT_ROUNDS	 8U
#define JIT_ROUNDS_INSNS 56U
/* So long a block does not go on behind a conditional branch; nor behind more of them than that. */
#define JIT_LONG_INSNS	 32U
#define JIT_BRANCHES_MAX 6U
#define JIT_BLOCK_ROOM	 (24U << 10) /* more than the longest block takes, with its tables */
#define JIT_TABLE_ROOM	 (8U << 10)  /* of which the tables */
#define JIT_JUMPS_BITS	 12U
#define JIT_JUMPS	 (1U << JIT_JUMPS_BITS)
#define JIT_DOMAINS	 8U
#define JIT_NO_RIP	 UINT64_C(0x8000000000000001) /* not canonical: no code is there */
/* Writes into a page beside its code that are borne before its code goes. */
#define JIT_QUIET_MAX 32U

/* PAUSE instructions before somebody else may have the CPU. */
#define JIT_PAUSES 64U
/* A stamp that is never in force. */
#define JIT_STAMP_NONE UINT32_MAX
#define JIT_NO_PAGE    UINT64_MAX
#define JIT_QUIETS     1024U
#define JIT_PAGES      (1U << 20) /* hashed: exact up to 4 GiB of memory */

/* A place in a vcpu's cache: bytes from its start; 0: none. */
typedef uint32_t jit_ref;

struct jit_jump {
	uint64_t rip, host;
};
#define JIT_JUMP_SHIFT 4U /* log2 of its size */
_Static_assert(sizeof(struct jit_jump) == 1U << JIT_JUMP_SHIFT, "translated code shifts by that");

/* Jump table of a mode in an address space. */
struct jit_domain {
	uint32_t mode;
	unsigned space;
	uint32_t stamp;
	bool used, clean; /* clean: table has no entries */
	uint64_t at;	  /* last use */
	struct jit_jump *jumps;
};

struct jit_block {
	uint64_t rip, gpa;
	uint64_t
		gpa2; /* its one instruction goes on in this page (JIT_NO_PAGE: it would, where nothing is); 0: none */
	uint32_t mode;
	uint16_t bytes;	      /* of guest code */
	uint16_t ahead[2][2]; /* bytes in the same page that were looked at besides: [from, to) */
	uint8_t n_links;
	uint16_t n_sites, n_traps;
	bool dead;
	bool interpret; /* its first instruction is not for translation: all it does is to have it interpreted */
	bool wants_flags;
	jit_ref code;
	jit_ref flags_entry; /* flags in jit_gs.flags, where it wants them; 0: not made yet */
	uint32_t code_bytes;
	jit_ref next_hash, next_page, next_page2, next_region, next_killed;
	jit_ref prev_page; /* 0: the first */
	jit_ref incoming;  /* struct jit_link: linked to this */
};

/* A direct edge. */
struct jit_link {
	uint64_t target;
	jit_ref block;
	jit_ref jump;  /* the 4 bytes of displacement */
	jit_ref stub;  /* where it goes unlinked; right before them: the jump takes its place */
	jit_ref stamp; /* the 4 bytes compared; 0: same page */
	bool saved;    /* flags are in jit_gs.flags: it goes to the block's jump_entry */
	jit_ref to;    /* block, 0: not linked */
	jit_ref next;  /* among those incoming there */
};

/* A place where code leaves in the middle. */
struct jit_site {
	jit_ref block;
	jit_ref back;	       /* memory: where to go on with the host address */
	int32_t moved;	       /* indirect branch: by how much the stack pointer did */
	uint16_t insn;	       /* offset of the instruction from the block's rip */
	uint8_t bytes;	       /* memory: of the access */
	uint8_t access;	       /* enum cpu_access */
	uint8_t slot;	       /* memory: of a group, or JIT_NO_SLOT; then: */
	uint16_t shift, range; /* the access is at address + shift; bytes from address on */
	uint8_t group_access;
	bool is_constant; /* memory: the address is this; back goes where its page is: */
	int32_t gva;
	bool retry; /* a fault is for the interpreter to find: another may come before it, or the operand is masked */
};

/* Host code from here on (bytes from the block's code) belongs to the guest instruction at that offset. */
struct jit_trap {
	uint16_t host;
	uint16_t insn;
	bool saved; /* flags are in jit_gs.flags, or do not matter */
};

/* Accesses that share a look-up. The first one looks up all the bytes [min, max) from its value on, take the addend. */
struct jit_group {
	uint32_t origin,
		index; /* numbers of the values of base and index register; index 0: none */
	uint8_t scale;
	int64_t min, max;
	int64_t first; /* offset of the first one */
	unsigned n;
	unsigned part; /* of the block: its first member is behind that many branches */
	bool write, is_open;
	bool is_constant; /* offsets are addresses */
	uint8_t slot;	  /* in jit_gs.group; JIT_NO_SLOT: each for itself */
};
enum jit_which { JIT_OPERAND, JIT_STACK, JIT_WHICH };
#define JIT_GROUPS_MAX	24U
#define JIT_GROUP_SLOTS 8U
#define JIT_GROUP_BYTES 512
#define JIT_ROUND_BYTES 128 /* in a loop: it goes to the next page at some time */
#define JIT_NO_SLOT	0xffU
/* In struct jit_block's mode: without groups, for where a group's bytes are on two pages. */
#define JIT_MODE_PLAIN 0x80000000U

struct jit_region {
	jit_ref start, end;
	jit_ref code;  /* free from here */
	jit_ref table; /* to here */
	jit_ref blocks;
};

enum jit_thunk {
	JIT_THUNK_ENTER, /* void (*)(void): to jit_gs.target */
	JIT_THUNK_EXIT,	 /* rsp is jit_gs.host_sp: back to jit_run() */
	JIT_THUNK_TAKE,	 /* flags from jit_gs.flags, and on at jit_gs.entry */
	JIT_THUNK_MEM_A, /* arg: site; the address in JIT_A */
	JIT_THUNK_MEM_B,
	JIT_THUNK_MEM_C, /* arg in JIT_A */
	JIT_THUNK_AGAIN, /* arg: site; flags saved or dead. The instruction there is interpreted */
	JIT_THUNK_AGAIN_LIVE, /* flags in the host's */
	JIT_THUNK_LINK,	      /* arg: link */
	JIT_THUNK_LINK_SAVED, /* the same, flags saved */
	JIT_THUNK_DISPATCH, /* an indirect branch. arg: site, in JIT_A; target in JIT_C, flags saved */
	JIT_THUNK_JUMP,	    /* the same, if the table does not know it */
	JIT_THUNK_DEAD,	    /* arg: block */
	JIT_THUNK_PAUSE,    /* arg: site; flags saved or dead */
	JIT_THUNKS,
};

struct jit_exit {
	uint8_t *
		from; /* displacement of a jump to the stub; or, where that is there already, its argument's place */
	bool is_there;
	uint8_t *stub;	/* where it is; NULL: another exit's does */
	uint8_t thunk;	/* enum jit_thunk */
	uint8_t arg_is; /* enum jit_arg */
	uint16_t arg;	/* index */
};
enum jit_arg { JIT_ARG_NONE, JIT_ARG_SITE, JIT_ARG_LINK };

#define JIT_LINKS_MAX (JIT_BRANCHES_MAX + 4U)
#define JIT_SITES_MAX 256U
#define JIT_EXITS_MAX 300U

enum jit_flags { JIT_FLAGS_HOST, JIT_FLAGS_SAVED };

/* A translation under way. */
struct jit_work {
	struct hosted_cpu *cpu;
	struct jit_vcpu *jit;
	struct emit e;
	uint64_t rip, gpa, gpa2;
	const uint8_t *page2; /* NULL: nothing is there */
	uint32_t mode;
	uint8_t code; /* enum x86_code */
	unsigned n;   /* instructions */
	unsigned
		round; /* instructions of one round of a loop that is all of the block; 0: it is none */
	uint32_t guest_end; /* offset behind the last one */
	bool leaves;	    /* behind it comes one to be interpreted */
	bool is_torn;	    /* behind it comes one that is on two pages */
	bool long_mode;
	bool plain;
	uint8_t group_at[JIT_BLOCK_INSNS][JIT_WHICH];  /* 1 + index in groups; 0: none */
	int64_t offset_at[JIT_BLOCK_INSNS][JIT_WHICH]; /* in the group's terms */
	struct jit_group groups[JIT_GROUPS_MAX];
	unsigned n_groups;
	struct x86_insn insns[JIT_BLOCK_INSNS];
	uint16_t at[JIT_BLOCK_INSNS];	  /* offsets from rip */
	uint32_t needed[JIT_BLOCK_INSNS]; /* flags that are needed before it */
	uint32_t needed_after;		  /* behind the last one */
	uint16_t ahead[2][2];
	enum jit_flags flags;
	uint8_t stored; /* groups that are in jit_gs.group, by slot */
	uint8_t wanted; /* those that are taken from there */
	int32_t moved;	/* what the stack pointer lacks */
	uint8_t hands
		[2]; /* groups that JIT_C and JIT_A know, as long as nothing writes them; JIT_NO_SLOT: none */
	unsigned i; /* the one that is emitted */

	struct jit_link links[JIT_LINKS_MAX];
	unsigned n_links;
	jit_ref block;
	struct jit_site sites[JIT_SITES_MAX];
	unsigned n_sites;
	struct jit_trap traps[JIT_BLOCK_INSNS];
	unsigned n_traps;
	struct jit_exit exits[JIT_EXITS_MAX];
	unsigned n_exits;
	uint8_t *thunk_jumps[JIT_THUNKS]; /* the last one to each; NULL: none */
	uint8_t *start;
};

struct jit_vcpu {
	struct hosted_cpu *cpu;
	struct jit_vm *vm;
	struct lock lock; /* the index of blocks, jump tables' entries going, blocks' first bytes */
	uint8_t *rw;
	const uint8_t *rx;
	uintptr_t state; /* struct emit's */
	uint32_t bytes;
	jit_ref thunks[JIT_THUNKS];
	struct jit_region regions[JIT_REGIONS];
	unsigned region; /* in use */
	jit_ref killed; /* their incoming links are to go: by next_killed; atomic, written under the lock */
	uint32_t index_mask;
	jit_ref *by_rip, *by_page, *by_page2;
	struct jit_domain domains[JIT_DOMAINS];
	struct jit_domain *domain;
	struct jit_jump *no_jumps;
	uint64_t clock;
	uint32_t last_stamp;
	enum cpu_result result;
	void (*enter)(void);
	uint64_t pause_last; /* TSC at the last time in jit_slow_pause() */
	unsigned pause_streak;
	bool has_bmi2;
	bool unserialized; /* code was written since this thread serialized */
	void *memory;
	uint64_t memory_bytes;
	struct jit_stats stats;
	struct jit_work work;
};

struct jit_vm {
	struct hosted_vm *vm;
	uint8_t *rw;
	const uint8_t *rx;
	uint64_t bytes, share;	   /* of a vcpu */
	uint64_t *pages;	   /* JIT_PAGES bits; atomic */
	uint8_t quiet[JIT_QUIETS]; /* writes beside code, by page, hashed; a hint */
};

/* ---- jit_cache.c, jit_kill.c ---- */
static inline struct jit_block *jit_block(struct jit_vcpu *jit, jit_ref ref)
{
	return (struct jit_block *)(void *)(jit->rw + ref);
}
static inline struct jit_site *jit_site_at(struct jit_vcpu *jit, jit_ref ref)
{
	return (struct jit_site *)(void *)(jit->rw + ref);
}
static inline struct jit_link *jit_link_at(struct jit_vcpu *jit, jit_ref ref)
{
	return (struct jit_link *)(void *)(jit->rw + ref);
}
static inline jit_ref jit_ref_of(struct jit_vcpu *jit, const void *p)
{
	return (jit_ref)((const uint8_t *)p - jit->rw);
}
static inline struct jit_jump *jit_jump_slot(struct jit_jump *jumps, uint64_t rip)
{
	return &jumps[rip % JIT_JUMPS];
}
/* A block's tables stand behind it: links, sites, traps. */
static inline struct jit_link *jit_links(struct jit_block *block)
{
	return (struct jit_link *)(void *)(block + 1);
}
static inline struct jit_site *jit_sites(struct jit_block *block)
{
	return (struct jit_site *)(void *)(jit_links(block) + block->n_links);
}
static inline struct jit_trap *jit_traps(struct jit_block *block)
{
	return (struct jit_trap *)(void *)(jit_sites(block) + block->n_sites);
}
void jit_cache_init(struct jit_vcpu *jit);
/* jit_room() - a region with room for a block: *e; evicts. Owner, without the lock. */
void jit_room(struct jit_vcpu *jit, struct emit *e);
/* jit_find() - a live block, or NULL. Owner, or under the lock. */
struct jit_block *jit_find(struct jit_vcpu *jit, uint64_t rip, uint64_t gpa, uint64_t gpa2,
			   uint32_t mode);
/* jit_insert() - under the lock. */
void jit_insert(struct jit_vcpu *jit, struct jit_block *block);
/* jit_link() - patch an edge to go to block; jit_unlink_incoming() - all that go there go to their stubs again. Owner. */
void jit_link(struct jit_vcpu *jit, struct jit_link *link, struct jit_block *block);
void jit_unlink(struct jit_vcpu *jit, struct jit_link *link);
void jit_unlink_incoming(struct jit_vcpu *jit, struct jit_block *block);
/* jit_remove() - out of the index. Under the lock. */
void jit_remove(struct jit_vcpu *jit, struct jit_block *block);
/* jit_flags_entry() - a way into the block with flags in jit_gs.flags; 0: no room for it now. Owner. */
jit_ref jit_flags_entry(struct jit_vcpu *jit, struct jit_block *block);
/* jit_reap() - links to what was killed go. Owner. */
void jit_reap(struct jit_vcpu *jit);
/* jit_flush() - everything goes. Owner. */
void jit_flush(struct jit_vcpu *jit);
/* jit_domain_leave() - no jump table and no stamp is in force until C has looked; jit_jumps_clear() - and all are empty. */
void jit_domain_leave(struct jit_vcpu *jit);
void jit_jumps_clear(struct jit_vcpu *jit);
/* jit_page_set() - the page is to have code from now on: protected when this returns. */
void jit_page_set(struct jit_vcpu *jit, uint64_t gpa);

/* ---- jit_translate.c ---- */
/* Where an instruction's bytes are. */
struct jit_place {
	uint64_t rip, gpa;
	const uint8_t *page; /* that gpa is in */
	uint64_t
		gpa2; /* of the next page, where the instruction may reach it; JIT_NO_PAGE: not mapped; 0: it cannot */
	const uint8_t *page2;
};
/* jit_translate() - make a block. Return: NULL: a page lost its mark meanwhile; try again. */
struct jit_block *jit_translate(struct jit_vcpu *jit, const struct jit_place *place, uint32_t mode);

/* ---- jit_mem.c ---- */
/* The registers that an instruction names in its fields, those in JIT_SCRATCH only. */
uint32_t jit_operands(const struct x86_insn *insn);
/* jit_scratch() - a scratch register that is none of these. */
unsigned jit_scratch(uint32_t taken);
/* jit_entry_reg() - beside an address in a scratch register: that of the TLB's entry. No argument of a thunk's is there. */
static inline unsigned jit_entry_reg(unsigned a)
{
	return a == JIT_B ? JIT_A : JIT_B;
}
/* jit_address() - the linear address of the instruction's memory operand into a. */
void jit_address(struct jit_work *w, const struct x86_insn *insn, unsigned a);
/*
 * jit_operand() - a memory operand of the instruction under way, looked up where need be: how to address it on the host
 * @guest: as the guest addresses it, JIT_STACK; NULL: the instruction's operand, JIT_OPERAND   @a: scratch; the result uses that, JIT_A
 * or JIT_C, if the instruction names them not; the others are lost   @needed: flags that are spared where they are needed
 */
struct emit_mem jit_operand(struct jit_work *w, const struct emit_mem *guest, unsigned a,
			    unsigned bytes, enum cpu_access access, uint32_t needed);
/*
 * jit_elements() - JIT_A: where the elements at reg are on the host, one or RCX of them (no more than a page's), all in a page
 * Else the instruction is interpreted: site. The other scratch registers are lost, and flags.
 */
void jit_elements(struct jit_work *w, unsigned reg, unsigned bytes, bool repeats,
		  enum cpu_access access, unsigned site);
/* jit_plan() - find the groups. */
void jit_plan(struct jit_work *w);
/* jit_flags_spare() - before what destroys flags; jit_flags_back() - before what needs them: temp is lost. */
void jit_flags_spare(struct jit_work *w, uint32_t needed, unsigned temp);
void jit_flags_back(struct jit_work *w, unsigned temp);
void jit_flags_save(struct emit *e, unsigned temp);
void jit_flags_load(struct emit *e, unsigned temp);

/* ---- jit_data.c, jit_flow.c ---- */
/* jit_can() - whether this instruction is translated. */
bool jit_can(const struct jit_work *w, const struct x86_insn *insn);
/* jit_is_tame() - its host instruction cannot trap when its memory is there, nor does anything come before a page fault. */
bool jit_is_tame(const struct x86_insn *insn);
void jit_data(struct jit_work *w, const struct x86_insn *insn);
void jit_stack(struct jit_work *w, const struct x86_insn *insn);
/* jit_can_system(), jit_system() - of classes SYSTEM and others, those that jit_system.c does. */
bool jit_can_system(const struct jit_work *w, const struct x86_insn *insn);
void jit_system(struct jit_work *w, const struct x86_insn *insn);
/* jit_can_string(), jit_string() - MOVS and STOS. Flags are spared. */
bool jit_can_string(const struct x86_insn *insn);
void jit_string(struct jit_work *w, const struct x86_insn *insn);
/* jit_stack_settle() - before the instruction under way: the stack pointer is what it should be, unless that can wait. */
void jit_stack_settle(struct jit_work *w);
/* jit_push_temp() - jit_gs.temp onto the stack. */
void jit_push_temp(struct jit_work *w);
void jit_branch(struct jit_work *w, const struct x86_insn *insn);
/* jit_edge() - go on at target; from: the address of the branch, for which way it is. */
void jit_edge(struct jit_work *w, uint64_t target, uint64_t from, uint32_t needed);
/* jit_edge_torn() - the same to an instruction that is on two pages: good as long as both are where they were. */
void jit_edge_torn(struct jit_work *w, uint64_t target, uint32_t needed);
/* jit_leave() - the instruction at offset is to be interpreted. */
void jit_leave(struct jit_work *w, unsigned offset, uint32_t needed);
/* jit_exit() - a jump from there to the stub of a thunk, behind the block; jit_stub() - the stub is here. */
void jit_exit(struct jit_work *w, uint8_t *from, enum jit_thunk thunk, enum jit_arg arg_is,
	      unsigned arg);
void jit_stub(struct jit_work *w, enum jit_thunk thunk, enum jit_arg arg_is, unsigned arg);
/* jit_jump_to_thunk() - by way of a jump there that is near enough, if there is one. */
void jit_jump_to_thunk(struct jit_work *w, unsigned thunk);
/* jit_thunk_arg() - the register that its argument is in. */
static inline unsigned jit_thunk_arg(unsigned thunk)
{
	return thunk == JIT_THUNK_MEM_C || thunk == JIT_THUNK_DISPATCH ? JIT_A : JIT_C;
}
unsigned jit_site(struct jit_work *w, unsigned bytes, enum cpu_access access);

/* ---- jit_thunk.c, jit_slow.c, jit.c ---- */
void jit_thunks_make(struct jit_vcpu *jit);
typedef const uint8_t *jit_fn(struct hosted_cpu *cpu, uint64_t arg);
jit_fn jit_slow_mem, jit_slow_again, jit_slow_link, jit_slow_jump, jit_slow_dead, jit_slow_pause;
/* jit_go_on_plain() - at cpu->rip, with flags saved or dead, without groups. NULL: jit->result. */
const uint8_t *jit_go_on_plain(struct jit_vcpu *jit);
/* jit_serialize() - before code that was written is executed. */
void jit_serialize(struct jit_vcpu *jit);
