/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Every verb, each defined in the file of its name. */
struct cmd;

extern const struct cmd cmd_attach, cmd_boot, cmd_compare, cmd_completion, cmd_cp, cmd_create,
	cmd_events, cmd_exec, cmd_info, cmd_inspect, cmd_kill, cmd_logs, cmd_pause, cmd_ps,
	cmd_record, cmd_rename, cmd_restart, cmd_resume, cmd_rm, cmd_run, cmd_start, cmd_stats,
	cmd_stop, cmd_top, cmd_update, cmd_version, cmd_wait;
extern const struct cmd cmd_image, cmd_image_build_bench, cmd_image_export, cmd_image_import,
	cmd_image_kernel, cmd_image_list, cmd_image_pull, cmd_image_rm, cmd_image_tag;
extern const struct cmd cmd_import_openvz;
extern const struct cmd cmd_baremetal, cmd_baremetal_disk, cmd_network, cmd_volume;
