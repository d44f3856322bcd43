/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "engines/spec.h"
#include "network/passt.h"

/* ports_of_passt() - what a spec publishes, as passt takes it: spec->n_ports of them; free(). The addresses are the spec's. NULL: no memory */
struct passt_port *ports_of_passt(const struct spec *spec);
