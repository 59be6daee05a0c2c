/* Deliveries against a naive model: a list of all that wait or are remembered, looked through each
 * time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/deliveries.h"

#include <stdlib.h>
#include <string.h>

enum {
    STEPS = 20000,
    SESSIONS = 8,
    SOURCES = 3,
    RING_FIRST_CAP = 256,
    LOOK_UPS = 3,        /* after each step, while repeats come */
    LOOK_BACK = 600,     /* how many of the newest they ask for */
    MOOD_STEPS_MAX = 300 /* how long repeats come, or do not */
};

/* The part of it that a run plays in. */
struct run {
    unsigned int seed;
    size_t remembered_max;
    uint64_t life_ms;
};

/* What is likely changes from phase to phase. */
struct phase {
    size_t opens; /* of 100 steps */
    size_t finishes;
    size_t replacements;
    size_t expiries;
    size_t look_ups;   /* the rest */
    uint64_t pause_ms; /* before an expiry, at most */
};

static const struct phase phases[] = {
    {46, 44, 2, 1, 7, 4},   /* many are remembered */
    {5, 10, 1, 24, 60, 40}, /* many repeats, while time goes by */
    {45, 45, 4, 6, 0, 30},  /* no repeats: the index is thrown away */
    {30, 28, 1, 1, 40, 4},  /* look-ups among what has just changed */
    {20, 30, 2, 48, 0, 90}, /* most are forgotten */
};

enum { PHASE_COUNT = sizeof phases / sizeof phases[0], LIFE_MS = 300 };

struct model_delivery {
    struct delivery_key key;
    uint64_t deadline_ms;
    size_t over_rank; /* of those that are over, the order in which they came to be so */
    enum outcome outcome;
    bool is_over;
};

struct model {
    struct model_delivery deliveries[STEPS]; /* in the order in which they were opened */
    size_t count;
    size_t over_count;
    size_t over_rank;
    uint64_t forgotten_until_ms;
};

/* What a repeat knows of itself. */
struct handed_over {
    struct delivery_key key;
    uint64_t deadline_ms;
};

struct pair {
    struct run run;
    struct deliveries all;
    struct session_deliveries *sessions[SESSIONS]; /* on the heap: a new one for each that leaves */
    uint64_t session_ids[SESSIONS];
    uint64_t next_session_id;
    uint64_t next_seq[SOURCES];
    uint64_t now_ms;
    struct handed_over opened[STEPS];
    size_t opened_count;
    struct model model;
    size_t past_counts[DELIVERY_IS_UNKNOWN + 1];
    size_t over_count_max;
    size_t ring_cap_max;
    size_t index_free_count; /* steps after which there was no index any more */
    unsigned int seed;
    bool is_asked;
    size_t past_counts[DELIVERY_IS_UNKNOWN + 1];
    size_t gone_count; /* of those, asked for a session that is gone */
    size_t index_drop_count;
    size_t ring_cap_max;
    size_t ring_shrink_count;
};

static size_t dice(struct pair *pair, size_t count)
{
    return (size_t)rand_r(&pair->seed) % count;
}

/* The first that was over. NULL: none is remembered. */
static struct model_delivery *model_oldest_over(struct model *model)
{
    struct model_delivery *oldest = NULL;
    for (size_t i = 0; i < model->count; i++) {
        struct model_delivery *at = &model->deliveries[i];
        if (at->is_over && (oldest == NULL || at->over_rank < oldest->over_rank)) {
            oldest = at;
        }
    }
    return oldest;
}

static void model_forget(struct model *model, struct model_delivery *delivery)
{
    delivery->is_forgotten = true;
    model->over_count--;
    while (model->first_known < model->count &&
           model->deliveries[model->first_known].is_forgotten) {
        model->first_known++;
    }
}

static struct model_delivery *model_first_waiting(struct model *model, uint64_t session_id)
{
    for (size_t i = model->first_known; i < model->count; i++) {
        if (model->deliveries[i].key.session_id == session_id && !model->deliveries[i].is_over) {
            return &model->deliveries[i];
        }
    }
    return NULL;
}

static void model_forget(struct model *model, struct model_delivery *delivery)
{
    size_t at = (size_t)(delivery - model->deliveries);
    memmove(delivery, delivery + 1, (model->count - at - 1) * sizeof *delivery);
    model->count--;
    model->over_count--;
}

static enum delivery_past model_look_up(const struct model *model, const struct handed_over *repeat,
                                        enum outcome *outcome)
{
    const struct delivery_key *key = &repeat->key;
    enum delivery_past past = DELIVERY_IS_NEW;
    for (size_t i = 0; i < model->count; i++) {
        const struct model_delivery *at = &model->deliveries[i];
        if (at->key.session_id != key->session_id ||
            at->key.source_instance_id != key->source_instance_id || at->key.seq < key->seq) {
            continue;
        }
        if (at->key.seq == key->seq) {
            *outcome = at->is_over ? at->outcome : *outcome;
            return at->is_over ? DELIVERY_IS_OVER : DELIVERY_WAITS;
        }
        past = DELIVERY_IS_OVERTAKEN;
    }
    return repeat->deadline_ms <= model->forgotten_until_ms ? DELIVERY_IS_UNKNOWN : past;
}

static void step_open(struct pair *pair, size_t session)
{
    struct model *model = &pair->model;
    size_t source = dice(pair, SOURCES);
    pair->next_seq[source] += 1 + dice(pair, 2); /* some go elsewhere */
    struct handed_over opened = {
        .key = {source, pair->next_seq[source], pair->session_ids[session]},
        .deadline_ms = pair->now_ms + 1 + dice(pair, pair->run.life_ms),
    };
    struct model_delivery added = {
        .key = opened.key, .deadline_ms = opened.deadline_ms, .end_bytes = pair->opened_count};
    pair->opened[pair->opened_count++] = opened;
    model->deliveries[model->count++] = added;
    assert_true(deliveries_prepare(&pair->all));
    struct delivery *real = deliveries_open(&pair->all, &opened.key, opened.deadline_ms,
                                            pair->sessions[session], added.end_bytes);
    assert_ptr_equal(real, pair->sessions[session]->last);
}

/* False: none waits. */
static bool step_finish(struct pair *pair, size_t session)
{
    struct model *model = &pair->model;
    struct model_delivery *first = model_first_waiting(model, pair->session_ids[session]);
    const struct delivery *real = pair->sessions[session]->first;
    if (first == NULL) {
        assert_null(real);
        return false;
    }
    assert_non_null(real);
    assert_memory_equal(&real->key, &first->key, sizeof real->key);
    assert_int_equal(real->end_bytes, first - model->deliveries + 1);
    first->is_over = true;
    first->outcome = (enum outcome)dice(pair, OUTCOME_COUNT);
    first->over_rank = model->over_rank++;
    deliveries_finish_first(&pair->all, pair->sessions[session], first->outcome);
    model->over_count++;
    if (model->over_count > pair->run.remembered_max) {
        struct model_delivery *oldest = model_oldest_over(model);
        if (oldest->deadline_ms > model->forgotten_until_ms) {
            model->forgotten_until_ms = oldest->deadline_ms;
        }
        model_forget(model, oldest);
    }
    return true;
}

static void step_replace_session(struct pair *pair, size_t session)
{
    while (pair->sessions[session] != NULL && step_finish(pair, session)) {
    }
    free(pair->sessions[session]);
    pair->sessions[session] = calloc(1, sizeof *pair->sessions[session]);
    assert_non_null(pair->sessions[session]);
    pair->session_ids[session] = pair->next_session_id++;
}

static void step_expire(struct pair *pair, uint64_t pause_ms)
{
    struct model *model = &pair->model;
    bool is_pause = dice(pair, 40) == 0;
    pair->now_ms += is_pause ? pair->run.life_ms : dice(pair, 30);
    struct model_delivery *oldest = NULL;
    while ((oldest = model_oldest_over(model)) != NULL && oldest->deadline_ms <= pair->now_ms) {
        model_forget(model, oldest);
    }
    size_t cap = pair->all.ring_cap;
    bool had_index = pair->all.index != NULL;
    deliveries_expire(&pair->all, pair->now_ms);
    pair->ring_cap_max = cap > pair->ring_cap_max ? cap : pair->ring_cap_max;
    pair->ring_shrink_count += pair->all.ring_cap < cap;
    pair->index_drop_count += had_index && pair->all.index == NULL;
}

/* One of the newest, or one near them that never was. */
static struct handed_over choose_repeat(struct pair *pair)
{
    size_t back_max = pair->opened_count < LOOK_BACK ? pair->opened_count : LOOK_BACK;
    struct handed_over repeat = {.deadline_ms = pair->now_ms};
    if (back_max > 0) {
        repeat = pair->opened[pair->opened_count - 1 - dice(pair, back_max)];
    }
    if (dice(pair, 3) == 0) {
        repeat.key.session_id = pair->session_ids[dice(pair, SESSIONS)];
    }
    if (dice(pair, 3) == 0) {
        repeat.key.seq += dice(pair, 5);
    }
    if (dice(pair, 5) == 0) {
        repeat.deadline_ms = pair->now_ms + dice(pair, 2 * pair->run.life_ms);
    }
    return repeat;
}

static void compare_repeat(struct pair *pair)
{
    struct handed_over repeat = choose_repeat(pair);
    const struct session_deliveries *of_session = NULL;
    for (size_t i = 0; i < SESSIONS; i++) {
        if (pair->session_ids[i] == repeat.key.session_id) {
            of_session = pair->sessions[i];
        }
    }
    enum outcome expected_outcome = OUTCOME_COUNT;
    enum outcome outcome = OUTCOME_COUNT;
    enum delivery_past expected = model_look_up(&pair->model, &repeat, &expected_outcome);
    enum delivery_past past =
        deliveries_look_up(&pair->all, &repeat.key, repeat.deadline_ms, of_session, &outcome);
    assert_int_equal(past, expected);
    assert_int_equal(outcome, expected_outcome);
    pair->past_counts[past]++;
    pair->gone_count += of_session == NULL && past != DELIVERY_IS_NEW;
}

static void compare(struct pair *pair, const struct delivery_key *key, uint64_t deadline_ms)
{
    enum outcome expected_outcome = OUTCOME_COUNT;
    enum delivery_past expected = model_look_up(&pair->model, key, deadline_ms, &expected_outcome);
    enum outcome outcome = OUTCOME_COUNT;
    const struct session_deliveries *of_session = find_session(pair, key->session_id);
    assert_int_equal(deliveries_look_up(&pair->all, key, deadline_ms, of_session, &outcome),
                     expected);
    assert_int_equal(outcome, expected_outcome);
    pair->past_counts[expected]++;
}

/* One of those that there were of late, or one that is like it but for one thing. */
static void step_look_up(struct pair *pair)
{
    const struct deliveries *all = &pair->all;
    assert_true(all->ring_end - all->ring_begin == pair->model.over_count);
    assert_int_equal(deliveries_are_empty(all), pair->model.count == 0);
    assert_true(all->forgotten_until_ms == pair->model.forgotten_until_ms);
    if (dice(pair, MOOD_STEPS_MAX / 2) == 0) {
        pair->is_asked = !pair->is_asked;
    }
    for (size_t i = 0; pair->is_asked && i < LOOK_UPS; i++) {
        compare_repeat(pair);
    }
}

static void take_step(struct pair *pair, const struct phase *phase)
{
    size_t session = dice(pair, SESSIONS);
    size_t kind = dice(pair, 100);
    if (kind < phase->opens) {
        step_open(pair, session);
    } else if (kind < 95) {
        (void)step_finish(pair, session);
    } else if (kind < 97) {
        step_replace_session(pair, session);
    } else if (kind < 100 - phase->look_ups) {
        step_expire(pair, phase->pause_ms);
    } else {
        step_look_up(pair);
    }
    assert_int_equal(pair->all.ring_end - pair->all.ring_begin, pair->model.over_count);
}

/* All those there were of late. */
static void compare_all(struct pair *pair)
{
    const struct model *model = &pair->model;
    for (size_t i = model->count > LOOK_BACK ? model->count - LOOK_BACK : 0; i < model->count;
         i++) {
        compare(pair, &model->deliveries[i].key, model->deliveries[i].deadline_ms);
    }
}

static void take_steps(struct pair *pair)
{
    for (size_t step = 0; step < STEPS; step++) {
        const struct phase *phase = &phases[step / PHASE_STEPS % PHASE_COUNT];
        bool had_index = pair->all.index != NULL;
        take_step(pair, phase);
        pair->index_free_count += had_index && pair->all.index == NULL;
        if (pair->model.over_count > pair->over_count_max) {
            pair->over_count_max = pair->model.over_count;
        }
        if (pair->all.ring_cap > pair->ring_cap_max) {
            pair->ring_cap_max = pair->all.ring_cap;
        }
        if (step % PHASE_STEPS == PHASE_STEPS - 1 && phase->look_ups > 0) {
            compare_all(pair);
        }
    }
}

/* Everything is finished, forgotten, and nothing is left. */
static void take_last_steps(struct pair *pair)
{
    for (size_t i = 0; i < SESSIONS; i++) {
        step_replace_session(pair, i);
        free(pair->sessions[i]);
        pair->sessions[i] = NULL;
    }
    assert_null(pair->all.first_waiting);
    assert_null(pair->all.last_waiting);
    assert_true(pair->all.ring_end - pair->all.ring_begin == pair->model.over_count);
    deliveries_expire(&pair->all, UINT64_MAX);
    assert_true(deliveries_are_empty(&pair->all));
}

static struct pair *play(struct run run)
{
    struct pair *pair = calloc(1, sizeof *pair);
    assert_non_null(pair);
    pair->run = run;
    pair->seed = run.seed;
    deliveries_init(&pair->all, run.remembered_max);
    for (size_t i = 0; i < SESSIONS; i++) {
        step_replace_session(pair, i);
    }
    for (size_t step = 0; step < STEPS; step++) {
        take_step(pair);
        compare(pair);
    }
    take_last_steps(pair);
    deliveries_fini(&pair->all);
    for (size_t past = 0; past < DELIVERY_IS_UNKNOWN; past++) {
        assert_true(pair->past_counts[past] > 100); /* or the run has missed its point */
    }
    assert_true(pair->gone_count > 100);
    assert_true(pair->index_drop_count > 5);
    return pair;
}

static void they_agree_while_the_bound_is_met(void **state)
{
    (void)state;
    const size_t bounds[] = {40, 100, 256};
    for (unsigned int i = 0; i < ARRAY_LENGTH(bounds); i++) {
        struct pair *pair =
            play((struct run){.seed = 7 + i, .remembered_max = bounds[i], .life_ms = 1000});
        assert_true(pair->past_counts[DELIVERY_IS_UNKNOWN] > 100);
        assert_int_equal(pair->ring_cap_max, RING_FIRST_CAP);
        free(pair);
    }
}

static void they_agree_while_the_ring_grows_and_shrinks(void **state)
{
    (void)state;
    for (unsigned int i = 0; i < 3; i++) {
        struct pair *pair =
            play((struct run){.seed = 17 + i, .remembered_max = 100000, .life_ms = 3000});
        assert_int_equal(pair->past_counts[DELIVERY_IS_UNKNOWN], 0);
        assert_true(pair->ring_cap_max > RING_FIRST_CAP);
        assert_true(pair->ring_shrink_count > 2);
        free(pair);
    }
}

static void they_agree_when_hardly_any_are_remembered(void **state)
{
    (void)state;
    struct pair *pair = play((struct run){.seed = 27, .remembered_max = 5, .life_ms = 20});
    assert_true(pair->past_counts[DELIVERY_IS_UNKNOWN] > 100);
    free(pair);
}

static void they_agree_whatever_the_bound(void **state)
{
    (void)state;
    static const size_t bounds[] = {0, 1, 2, 40, 256, 300};
    for (size_t i = 0; i < ARRAY_LENGTH(bounds); i++) {
        struct pair *pair = run(bounds[i], (unsigned int)i);
        assert_int_equal(pair->over_count_max, bounds[i]);
        assert_true(pair->past_counts[DELIVERY_IS_UNKNOWN] > 100);
        free(pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_agree_while_the_bound_is_met),
        cmocka_unit_test(they_agree_while_the_ring_grows_and_shrinks),
        cmocka_unit_test(they_agree_when_hardly_any_are_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
