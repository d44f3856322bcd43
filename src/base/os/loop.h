/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An event loop over epoll(7). It belongs to one thread, which alone calls it. */
#include <stdint.h>

#include "base/core/err.h"

struct loop;

/* @events: of EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP. May add, change and delete any fd, its own too. */
typedef void (*loop_fn)(void *arg, uint32_t events);

int loop_create(struct loop **ret, struct err *err);
void loop_free(struct loop *loop); /* NULL is a no-op; the fds are their owners' */
/*
 * loop_add() - call fn when fd is ready (level-triggered)
 * @fd: borrowed until loop_del(), which comes before it is closed
 * Errors: -EEXIST; -EPERM for what is always ready (a regular file).
 */
int loop_add(struct loop *loop, int fd, uint32_t events, loop_fn fn, void *arg, struct err *err);
int loop_mod(struct loop *loop, int fd, uint32_t events, struct err *err); /* 0: errors only */
void loop_del(struct loop *loop, int fd);				   /* absent is a no-op */
/*
 * loop_run_once() - wait and call what is ready, once each
 * @timeout_ms: -1: as long as it takes
 * Return: how many were called; 0 also after a signal.
 */
int loop_run_once(struct loop *loop, int timeout_ms, struct err *err);
