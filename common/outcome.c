#include "common/outcome.h"

#include <stddef.h>

static const struct {
    const char *code;
    const char *sentence;
} outcomes[OUTCOME_COUNT] = {
#define OUTCOME(enumerator, code, sentence) [OUTCOME_##enumerator] = {(code), (sentence)},
#include "common/outcomes.def"
#undef OUTCOME
};

const char *outcome_code(enum outcome outcome)
{
    return outcomes[outcome].code;
}

const char *outcome_sentence(enum outcome outcome)
{
    return outcomes[outcome].sentence;
}
