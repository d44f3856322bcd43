/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * signal_parse() - "TERM", "SIGTERM", "15", "RTMIN+3", "RTMAX-1"; small letters, too
 * Return: 1..SIGRTMAX; 0: none of them.
 */
int signal_parse(const char *text);
