/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The parts of manager_create(): each adds to the new instance's spec. Errors: of what was asked for, or -ENOMEM. */
#include "engines/engine.h"
#include "manager/manager.h"

struct image;

/* ---- create_spec.c ---- */

/* create_copy() - members that pass from the command line as they are; spec_load() checks them. Return: 0; else memory is short. */
int create_copy(json_t *spec, const json_t *config);
/* create_layers() - the image's. Return: 0; else memory is short. */
int create_layers(json_t *spec, const struct image *image);
/*
 * create_defaults() - what is left to say: of the command line, else of the image, else ours
 * @image_config: NULL: nothing but a kernel
 */
int create_defaults(json_t *spec, const json_t *config, const json_t *image_config, const char *id,
		    const struct engine_ops *engine, struct err *err);
/* create_caps() - capabilities. @machine: inside is root's own kernel */
int create_caps(json_t *spec, const json_t *config, bool machine, struct err *err);

/* ---- create_mounts.c ---- */

/* create_mounts() - mounts, and the volumes that they need, which are made: create_undo_volumes() where the instance is not */
int create_mounts(struct manager *manager, json_t *spec, const json_t *config,
		  const json_t *image_config, bool machine, struct err *err);
void create_undo_volumes(struct manager *manager, const json_t *spec);
/* create_stand_ins() - into a copy to be checked: the mounts that were asked for, those of volumes without a name with some name */
int create_stand_ins(struct manager *manager, json_t *copy, const json_t *config);
