/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How something that is made waits for its start: a bundle's first process, and the one that becomes its machine. */
#include <stdbool.h>

#include "base/core/err.h"

/*
 * start_wait() - until somebody says the word. Who only looks, and leaves, is not heard; nor is waited for who stops midway
 * @listener: a listening socket
 * @heard: reads one message, which is there or is the end; whether it was the word, and he has its answer
 * Return: his connection, or a negative errno.
 */
int start_wait(int listener, bool (*heard)(int socket), struct err *err);
