/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The guests that the boot loader brought along (hv_guests_start(), core/hv.h): vm/config.h says what their file looks like. */
#include "boot/info.h"

/*
 * boot_guests_file() - a loader's file by its name without folder: the first word of its text
 * Return: its number, or -1.
 */
int boot_guests_file(const struct boot_info *info, const char *name);
