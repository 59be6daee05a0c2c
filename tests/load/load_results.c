#include "tests/load/load_results.h"

static bool is_row_of(const struct event_row *row, struct slice name)
{
    return strnlen(row->name, sizeof row->name) == name.len &&
           memcmp(row->name, name.data, name.len) == 0;
}

void event_counts_add(struct event_counts *counts, struct slice name, uint64_t count)
{
    struct event_row *row = counts->rows;
    const struct event_row *last = &counts->rows[EVENT_ROWS_MAX - 1];
    if (name.len >= EVENT_NAME_MAX_BYTES) {
        name.len = EVENT_NAME_MAX_BYTES - 1;
    }
    while (row < last && row->name[0] != '\0' && !is_row_of(row, name)) {
        row++;
    }
    if (row == last) {
        name = slice_from_string("other");
    }
    if (name.len > 0) {
        memcpy(row->name, name.data, name.len);
    }
    row->name[name.len] = '\0';
    row->count += count;
    counts->total += count;
}

void event_counts_merge(struct event_counts *into, const struct event_counts *from)
{
    for (size_t i = 0; i < EVENT_ROWS_MAX && from->rows[i].name[0] != '\0'; i++) {
        event_counts_add(into, slice_from_string(from->rows[i].name), from->rows[i].count);
    }
}

uint64_t wrong_total(const struct wrong_counts *wrong)
{
    return wrong->lost + wrong->doubled + wrong->misrouted + wrong->reordered + wrong->altered +
           wrong->wrong_from;
}

void group_results_merge(struct group_results *into, const struct group_results *from)
{
    into->sent += from->sent;
    into->delivered += from->delivered;
    into->wrong.lost += from->wrong.lost;
    into->wrong.doubled += from->wrong.doubled;
    into->wrong.misrouted += from->wrong.misrouted;
    into->wrong.reordered += from->wrong.reordered;
    into->wrong.altered += from->wrong.altered;
    into->wrong.wrong_from += from->wrong.wrong_from;
    event_counts_merge(&into->errors, &from->errors);
    histogram_merge(&into->latency, &from->latency);
    histogram_merge(&into->lag, &from->lag);
}

void handshake_results_merge(struct handshake_results *into, const struct handshake_results *from)
{
    if (from->count == 0) {
        return;
    }
    if (into->count == 0 || from->first_begin_ns < into->first_begin_ns) {
        into->first_begin_ns = from->first_begin_ns;
    }
    if (from->last_end_ns > into->last_end_ns) {
        into->last_end_ns = from->last_end_ns;
    }
    into->count += from->count;
    into->in_window += from->in_window;
    histogram_merge(&into->latency, &from->latency);
}
