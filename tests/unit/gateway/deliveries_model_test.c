/* Deliveries against a naive model: a list of all that were ever opened, looked through each time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/deliveries.h"

#include <stdlib.h>

enum {
    STEPS = 20000,
    SESSIONS = 8,
    SOURCES = 3,
    PHASE_STEPS = 500,
    LOOK_BACK = 1000, /* how many of the newest are looked up at the end of a phase */
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
    bool is_forgotten;
};

struct model {
    struct model_delivery deliveries[STEPS];
    size_t count;
    size_t first_known; /* those before it are all forgotten */
    size_t over_count;
    size_t over_rank;
    uint64_t forgotten_until_ms;
    uint64_t now_ms;
};

struct pair {
    struct deliveries all;
    struct session_deliveries *sessions[SESSIONS]; /* on the heap: a new one for each that leaves */
    uint64_t session_ids[SESSIONS];
    uint64_t next_session_id;
    uint64_t next_seq[SOURCES];
    struct model model;
    size_t past_counts[DELIVERY_IS_UNKNOWN + 1];
    size_t over_count_max;
    size_t ring_cap_max;
    size_t index_free_count; /* steps after which there was no index any more */
    unsigned int seed;
};

static size_t dice(struct pair *pair, size_t count)
{
    return (size_t)rand_r(&pair->seed) % count;
}

/* The first that was over and is not forgotten; NULL: none. */
static struct model_delivery *model_oldest_over(struct model *model)
{
    struct model_delivery *oldest = NULL;
    for (size_t i = model->first_known; i < model->count; i++) {
        struct model_delivery *at = &model->deliveries[i];
        if (at->is_over && !at->is_forgotten) {
            oldest = oldest == NULL || at->over_rank < oldest->over_rank ? at : oldest;
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

static enum delivery_past model_look_up(const struct model *model, const struct delivery_key *key,
                                        uint64_t deadline_ms, enum outcome *outcome)
{
    bool is_overtaken = false;
    for (size_t i = model->first_known; i < model->count; i++) {
        const struct model_delivery *at = &model->deliveries[i];
        if (at->is_forgotten || at->key.session_id != key->session_id ||
            at->key.source_instance_id != key->source_instance_id) {
            continue;
        }
        if (at->key.seq == key->seq) {
            *outcome = at->is_over ? at->outcome : *outcome;
            return at->is_over ? DELIVERY_IS_OVER : DELIVERY_WAITS;
        }
        is_overtaken |= at->key.seq > key->seq;
    }
    if (deadline_ms <= model->forgotten_until_ms) {
        return DELIVERY_IS_UNKNOWN;
    }
    return is_overtaken ? DELIVERY_IS_OVERTAKEN : DELIVERY_IS_NEW;
}

static void step_open(struct pair *pair, size_t session)
{
    size_t source = dice(pair, SOURCES);
    struct model *model = &pair->model;
    pair->next_seq[source] += 1 + dice(pair, 2); /* some are never handed over */
    struct delivery_key key = {source, pair->next_seq[source], pair->session_ids[session]};
    uint64_t deadline_ms = model->now_ms + 1 + LIFE_MS / 2 + dice(pair, LIFE_MS / 2);
    struct model_delivery opened = {.key = key, .deadline_ms = deadline_ms};
    model->deliveries[model->count++] = opened;
    assert_true(deliveries_prepare(&pair->all));
    deliveries_open(&pair->all, &key, deadline_ms, pair->sessions[session], model->count);
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
    model->over_count++;
    if (model->over_count > pair->all.remembered_max) {
        struct model_delivery *oldest = model_oldest_over(model);
        model_forget(model, oldest);
        if (oldest->deadline_ms > model->forgotten_until_ms) {
            model->forgotten_until_ms = oldest->deadline_ms;
        }
    }
    deliveries_finish_first(&pair->all, pair->sessions[session], first->outcome);
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
    model->now_ms += dice(pair, pause_ms);
    struct model_delivery *oldest = NULL;
    while ((oldest = model_oldest_over(model)) != NULL && oldest->deadline_ms <= model->now_ms) {
        model_forget(model, oldest);
    }
    deliveries_expire(&pair->all, model->now_ms);
}

/* NULL: it is gone. */
static const struct session_deliveries *find_session(const struct pair *pair, uint64_t session_id)
{
    for (size_t i = 0; i < SESSIONS; i++) {
        if (pair->session_ids[i] == session_id) {
            return pair->sessions[i];
        }
    }
    return NULL;
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
    const struct model *model = &pair->model;
    if (model->count == 0) {
        return;
    }
    size_t back = 1 + dice(pair, model->count < LOOK_BACK ? model->count : LOOK_BACK);
    const struct model_delivery *like = &model->deliveries[model->count - back];
    struct delivery_key key = like->key;
    uint64_t deadline_ms = like->deadline_ms;
    switch (dice(pair, 8)) {
    case 0:
        key.seq += dice(pair, 2) == 0 ? 1 : UINT64_MAX;
        break;
    case 1:
        key.session_id = pair->session_ids[dice(pair, SESSIONS)];
        break;
    case 2:
        key.source_instance_id = dice(pair, SOURCES + 1);
        break;
    case 3:
        deadline_ms = model->now_ms + dice(pair, LIFE_MS);
        break;
    default:
        break;
    }
    compare(pair, &key, deadline_ms);
}

static void take_step(struct pair *pair, const struct phase *phase)
{
    size_t session = dice(pair, SESSIONS);
    size_t kind = dice(pair, 100);
    if (kind < phase->opens) {
        step_open(pair, session);
    } else if (kind < phase->opens + phase->finishes) {
        (void)step_finish(pair, session);
    } else if (kind < phase->opens + phase->finishes + phase->replacements) {
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
    compare_all(pair);
    deliveries_expire(&pair->all, UINT64_MAX);
    assert_true(deliveries_are_empty(&pair->all));
}

static struct pair *run(size_t remembered_max, unsigned int seed)
{
    struct pair *pair = calloc(1, sizeof *pair);
    assert_non_null(pair);
    pair->seed = seed;
    deliveries_init(&pair->all, remembered_max);
    for (size_t i = 0; i < SESSIONS; i++) {
        step_replace_session(pair, i);
    }
    take_steps(pair);
    take_last_steps(pair);
    deliveries_fini(&pair->all);
    return pair;
}

static void they_agree_with_a_naive_model(void **state)
{
    (void)state;
    struct pair *pair = run(SIZE_MAX, 7); /* no bound is met */
    assert_int_equal(pair->past_counts[DELIVERY_IS_UNKNOWN], 0);
    for (int past = DELIVERY_IS_NEW; past < DELIVERY_IS_UNKNOWN; past++) {
        assert_true(pair->past_counts[past] > 100);
    }
    assert_true(pair->over_count_max > 256); /* the ring has grown, */
    assert_true(pair->index_free_count > 5); /* and the index has come and gone */
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
        cmocka_unit_test(they_agree_with_a_naive_model),
        cmocka_unit_test(they_agree_whatever_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
