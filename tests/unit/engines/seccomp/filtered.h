/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Making one system call in a child that has a filter. */
#include <stdint.h>

#define FILTERED_KILLED 9999

/*
 * filtered() - what call() gives under a profile
 * @profile: JSON, or NULL for the default one
 * Return: 0 where it succeeded (anything that is not -1), its errno, FILTERED_KILLED where a signal ended the child.
 */
int filtered(const char *profile, uint64_t caps, long (*call)(void));
