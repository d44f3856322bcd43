/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "network/nl.h"
#include "network/private.h"

#define NFT_OUTPUT_MAX (64u << 20)

/* Fixed places before PATH: a user's PATH often lacks the sbin directories. */
static const char *nft_path(void)
{
	static const char *const places[] = { "/usr/sbin/nft", "/sbin/nft", "/usr/local/sbin/nft",
					      "/usr/bin/nft" };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		if (access(places[i], X_OK) == 0)
			return places[i];
	}
	return "nft";
}

/* Files in memory instead of pipes: neither side can block the other, however long the text. */
static int memory_file(const void *data, size_t len)
{
	AUTO(fd_close_p) int fd = memfd_create("strata-nft", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	int r = len ? fd_write_all(fd, data, len) : 0;
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	return r < 0 ? r : fd_take(&fd);
}

/* Return: the exit status, 256 for a signal, or a negative errno. */
static int nft_spawn(const char *const args[], int in, int out, int errors)
{
	const char *argv[12] = { "nft" };
	static const char *const env[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
		NULL
	};
	posix_spawn_file_actions_t actions;
	pid_t pid = -1;
	int status = 0;

	for (size_t i = 0; args[i] && i + 2 < ARRAY_SIZE(argv); i++)
		argv[i + 1] = args[i];
	int r = posix_spawn_file_actions_init(&actions);
	if (r)
		return -r;
	r = posix_spawn_file_actions_adddup2(&actions, in, 0);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&actions, out, 1);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&actions, errors, 2);
	if (!r)
		r = posix_spawnp(&pid, nft_path(), &actions, NULL, (char *const *)(uintptr_t)argv,
				 (char *const *)(uintptr_t)env);
	(void)posix_spawn_file_actions_destroy(&actions);
	if (r)
		return -r;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256;
}

/* nft repeats the offending lines below: its first line says it. */
static int nft_complain(int errors, struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };

	if (lseek(errors, 0, SEEK_SET) < 0 || fd_read_all(errors, NFT_OUTPUT_MAX, &text) < 0)
		return err_say(err, EIO, "nft failed");
	char *line = text.data ? text.data : (char[]){ "" };
	line[strcspn(line, "\n")] = '\0';
	const char *what = strstr(line, "Error: ");
	if (strstr(line, "Operation not permitted"))
		return err_say(err, EPERM,
			       "nft: not permitted: network rules need root "
			       "(CAP_NET_ADMIN), or use --network none or host");
	return err_say(err, EIO, "nft: %.300s", what ? what + strlen("Error: ") : line);
}

int nft_run(const char *const args[], const char *script, size_t len, struct buf *ret,
	    struct err *err)
{
	AUTO(fd_close_p) int in = memory_file(script, len);
	AUTO(fd_close_p) int out = memory_file(NULL, 0);
	AUTO(fd_close_p) int errors = memory_file(NULL, 0);

	if (in < 0 || out < 0 || errors < 0)
		return err_set(err, in < 0 ? -in : out < 0 ? -out : -errors, "run nft");
	int r = nft_spawn(args, in, out, errors);
	if (r == -ENOENT || r == 127)
		return err_say(err, ENOPKG,
			       "the nft program is missing: apt-get install nftables, or use "
			       "--network none or host");
	if (r < 0)
		return err_set(err, -r, "run nft");
	if (r > 0)
		return nft_complain(errors, err);
	if (!ret)
		return 0;
	/* nft writes with O_APPEND or not, the offset is shared: read from the start. */
	if (lseek(out, 0, SEEK_SET) < 0)
		return err_set(err, errno, "run nft");
	r = fd_read_all(out, NFT_OUTPUT_MAX, ret);
	return r < 0 ? err_set(err, -r, "read nft's output") : 0;
}

/*
 * The comment is one type-length-value of those that nft keeps with a table: type 0, and
 * NUL-ended.
 */
static void stamp_find(const unsigned char *data, size_t len, char ret[DIGEST_HEX + 1])
{
	for (size_t at = 0; at + 2 <= len && data[at + 1] <= len - at - 2;
	     at += 2u + data[at + 1]) {
		if (data[at] != 0 || data[at + 1] != DIGEST_HEX + 1)
			continue;
		memcpy(ret, data + at + 2, DIGEST_HEX);
		ret[DIGEST_HEX] = '\0';
		return;
	}
}

int nft_stamp(const char *table, char ret[DIGEST_HEX + 1])
{
	_Alignas(8) unsigned char answer[4096];
	struct nfgenmsg head = { .nfgen_family = NFPROTO_IPV4, .version = NFNETLINK_V0 };
	struct nl_msg msg;
	size_t len = 0;

	AUTO(fd_close_p) int fd = nl_open(NETLINK_NETFILTER);
	if (fd < 0)
		return fd;
	nl_begin(&msg, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, 0, &head, sizeof(head));
	nl_str(&msg, NFTA_TABLE_NAME, table);
	int n = nl_call(fd, &msg, answer, sizeof(answer));
	if (n <= 0)
		return n == -ENOENT ? 0 : n == 0 ? -EPROTO : n;
	ret[0] = '\0';
	const void *data = nl_find(answer, (size_t)n, sizeof(struct nlmsghdr) + sizeof(head),
				   NFTA_TABLE_USERDATA, &len);
	if (data)
		stamp_find(data, len, ret);
	return 1;
}
