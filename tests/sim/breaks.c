#include "tests/sim/breaks.h"

#include <string.h>

struct break_text {
    const char *name;
    const char *sentence;
};

static const struct break_text break_texts[SIM_BREAK_COUNT] = {
    {"none", "no rule is broken"},
#define SIM_BREAK(enumerator, name, sentence) {name, sentence},
#include "tests/sim/breaks.def"
#undef SIM_BREAK
};

enum sim_break sim_break_find(const char *name)
{
    for (enum sim_break rule = SIM_BREAK_NONE + 1; rule < SIM_BREAK_COUNT; rule++) {
        if (strcmp(break_texts[rule].name, name) == 0) {
            return rule;
        }
    }
    return SIM_BREAK_NONE;
}

const char *sim_break_name(enum sim_break rule)
{
    return break_texts[rule].name;
}

const char *sim_break_sentence(enum sim_break rule)
{
    return break_texts[rule].sentence;
}
