/* Runs the cores of gateways and broker in one process, in virtual time, in a random order of steps
 * that a seed decides, with faults at any of them, and checks after every step what is promised. */
#include "gateway/json_arena.h"
#include "tests/sim/check.h"
#include "tests/sim/rest.h"
#include "tests/sim/schedule.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

enum { DEFAULT_STEPS = 500, DEFAULT_SEEDS = 1000, BREAK_SEEDS = 1000, DECIMAL = 10 };

struct options {
    uint64_t first_seed;
    uint64_t last_seed;
    uint32_t steps;
    enum sim_break rule;
    bool lists_breaks;
    bool checks_breaks;
    bool echoes;
};

static const char usage[] =
    "sim --seeds A..B --steps N [--break RULE] [--trace]\n"
    "  runs the seeds A to B, N steps each; --trace prints every event\n"
    "sim --list-breaks\n"
    "  lists the rules that can be broken on purpose\n"
    "sim --check-breaks [--steps N]\n"
    "  breaks each of them, and demands that it is caught within 1,000 seeds\n";

/* True: every invariant held; else `world`, which the caller ends, tells. */
static bool run_seed(struct sim_world *world, const struct options *options, uint64_t seed,
                     enum sim_break rule)
{
    sim_world_init(world, seed, rule);
    world->trace.is_echoed = options->echoes;
    for (uint32_t step = 1; step <= options->steps && !sim_trace_is_broken(&world->trace); step++) {
        world->trace.step = step;
        sim_schedule_step(world);
        sim_check_step(world);
    }
    if (!sim_trace_is_broken(&world->trace)) {
        world->trace.step++;
        sim_rest(world);
    }
    return !sim_trace_is_broken(&world->trace);
}

static void print_failure(const struct sim_world *world, const struct options *options,
                          uint64_t seed, enum sim_break rule)
{
    sim_trace_print(&world->trace, stdout);
    (void)printf("seed %" PRIu64 ", step %" PRIu32 ": broken invariant %s\n"
                 "replay: sim --seeds %" PRIu64 "..%" PRIu64 " --steps %" PRIu32 "%s%s\n",
                 seed, world->trace.broken_step, world->trace.broken, seed, seed, options->steps,
                 rule == SIM_BREAK_NONE ? "" : " --break ",
                 rule == SIM_BREAK_NONE ? "" : sim_break_name(rule));
}

static bool run_seeds(struct sim_world *world, const struct options *options)
{
    bool is_good = true;
    for (uint64_t seed = options->first_seed; seed <= options->last_seed && is_good; seed++) {
        is_good = run_seed(world, options, seed, options->rule);
        if (!is_good) {
            print_failure(world, options, seed, options->rule);
        }
        sim_world_fini(world);
    }
    if (is_good) {
        (void)printf("seeds %" PRIu64 "..%" PRIu64 ", %" PRIu32
                     " steps each: all invariants held\n",
                     options->first_seed, options->last_seed, options->steps);
    }
    return is_good;
}

static bool check_break(struct sim_world *world, const struct options *options, enum sim_break rule)
{
    bool is_caught = false;
    for (uint64_t seed = 1; seed <= BREAK_SEEDS && !is_caught; seed++) {
        /* A seed that fails anyway shows nothing. */
        bool is_clean = run_seed(world, options, seed, SIM_BREAK_NONE);
        sim_world_fini(world);
        is_caught = is_clean && !run_seed(world, options, seed, rule);
        if (is_caught) {
            (void)printf("%-22s caught at seed %" PRIu64 ", %s\n", sim_break_name(rule), seed,
                         world->trace.broken);
        }
        if (is_clean) {
            sim_world_fini(world);
        }
    }
    if (!is_caught) {
        (void)printf("%-22s NOT caught within %d seeds\n", sim_break_name(rule), BREAK_SEEDS);
    }
    return is_caught;
}

static bool check_breaks(struct sim_world *world, const struct options *options)
{
    bool is_good = true;
    for (enum sim_break rule = SIM_BREAK_NONE + 1; rule < SIM_BREAK_COUNT; rule++) {
        is_good = check_break(world, options, rule) && is_good;
    }
    return is_good;
}

static void list_breaks(void)
{
    for (enum sim_break rule = SIM_BREAK_NONE + 1; rule < SIM_BREAK_COUNT; rule++) {
        (void)printf("%-22s %s\n", sim_break_name(rule), sim_break_sentence(rule));
    }
}

/* Reads the number at the front of `text` and moves `text` behind it. */
static bool read_number(const char **text, uint64_t *number)
{
    char *end = NULL;
    errno = 0;
    *number = strtoull(*text, &end, DECIMAL);
    bool is_good = errno == 0 && end != *text && (*text)[0] != '-';
    *text = end;
    return is_good;
}

static bool read_seeds(const char *text, struct options *options)
{
    if (!read_number(&text, &options->first_seed) || strncmp(text, "..", 2) != 0) {
        return false;
    }
    text += 2;
    return read_number(&text, &options->last_seed) && *text == '\0';
}

static bool read_steps(const char *text, struct options *options)
{
    uint64_t steps = 0;
    bool is_good = read_number(&text, &steps) && *text == '\0' && steps <= UINT32_MAX / 2;
    options->steps = (uint32_t)steps;
    return is_good;
}

static bool read_break(const char *text, struct options *options)
{
    options->rule = sim_break_find(text);
    return options->rule != SIM_BREAK_NONE;
}

static bool set_list_breaks(const char *text, struct options *options)
{
    (void)text;
    options->lists_breaks = true;
    return true;
}

static bool set_check_breaks(const char *text, struct options *options)
{
    (void)text;
    options->checks_breaks = true;
    return true;
}

static bool set_trace(const char *text, struct options *options)
{
    (void)text;
    options->echoes = true;
    return true;
}

static const struct {
    const char *name;
    bool has_value;
    bool (*read)(const char *text, struct options *options);
} flags[] = {
    {"--seeds", true, read_seeds},
    {"--steps", true, read_steps},
    {"--break", true, read_break},
    {"--trace", false, set_trace},
    {"--list-breaks", false, set_list_breaks},
    {"--check-breaks", false, set_check_breaks},
};

static bool read_options(int argc, char **argv, struct options *options)
{
    for (int i = 1; i < argc; i++) {
        size_t flag = 0;
        while (flag < ARRAY_LENGTH(flags) && strcmp(argv[i], flags[flag].name) != 0) {
            flag++;
        }
        if (flag == ARRAY_LENGTH(flags)) {
            return false;
        }
        if (flags[flag].has_value) {
            i++;
        }
        if (i == argc || !flags[flag].read(argv[i], options)) {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    struct options options = {.first_seed = 1, .last_seed = DEFAULT_SEEDS, .steps = DEFAULT_STEPS};
    if (!read_options(argc, argv, &options)) {
        (void)fputs(usage, stderr);
        return 2;
    }
    if (options.lists_breaks) {
        list_breaks();
        return 0;
    }
    struct sim_world *world = malloc(sizeof *world);
    if (world == NULL || !json_arena_init()) {
        free(world);
        return 2;
    }
    bool is_good =
        options.checks_breaks ? check_breaks(world, &options) : run_seeds(world, &options);
    json_arena_fini();
    free(world);
    return is_good ? 0 : 1;
}
