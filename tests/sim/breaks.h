/* The rules that a run can break on purpose. */
#pragma once

enum sim_break {
    SIM_BREAK_NONE,
#define SIM_BREAK(enumerator, name, sentence) SIM_BREAK_##enumerator,
#include "tests/sim/breaks.def"
#undef SIM_BREAK
    SIM_BREAK_COUNT
};

/* SIM_BREAK_NONE: no rule has that name. */
enum sim_break sim_break_find(const char *name);
const char *sim_break_name(enum sim_break rule);
const char *sim_break_sentence(enum sim_break rule);
