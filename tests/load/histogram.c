#include "tests/load/histogram.h"

#include <assert.h>

enum { HIGHEST_BIT = 63 };

/* By how many bits a value is cut down to SUB_BITS + 1 of them. */
static unsigned shift_of(uint64_t value)
{
    if (value >> (HISTOGRAM_SUB_BITS + 1) == 0) {
        return 0;
    }
    return (unsigned)(HIGHEST_BIT - __builtin_clzll(value)) - HISTOGRAM_SUB_BITS;
}

static uint64_t bucket_of(uint64_t value)
{
    unsigned shift = shift_of(value);
    return ((uint64_t)shift << HISTOGRAM_SUB_BITS) + (value >> shift);
}

/* The largest value that falls into this bucket. */
static uint64_t bucket_max(uint64_t bucket)
{
    uint64_t octave = bucket >> HISTOGRAM_SUB_BITS;
    uint64_t shift = octave == 0 ? 0 : octave - 1;
    uint64_t sub = bucket - (shift << HISTOGRAM_SUB_BITS);
    return ((sub + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    if (value > HISTOGRAM_VALUE_MAX) {
        value = HISTOGRAM_VALUE_MAX;
    }
    uint64_t bucket = bucket_of(value);
    assert(bucket < HISTOGRAM_BUCKETS);
    histogram->buckets[bucket]++;
    histogram->count++;
    histogram->sum += value;
    if (value > histogram->max) {
        histogram->max = value;
    }
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    into->count += from->count;
    into->sum += from->sum;
    if (from->max > into->max) {
        into->max = from->max;
    }
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        into->buckets[i] += from->buckets[i];
    }
}

uint64_t histogram_value_at(const struct histogram *histogram, double quantile)
{
    double rank = quantile * (double)histogram->count;
    uint64_t below = 0;
    for (uint64_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        below += histogram->buckets[i];
        if (histogram->buckets[i] > 0 && (double)below >= rank) {
            uint64_t value = bucket_max(i);
            return value < histogram->max ? value : histogram->max;
        }
    }
    return histogram->max;
}

double histogram_mean(const struct histogram *histogram)
{
    return histogram->count == 0 ? 0 : (double)histogram->sum / (double)histogram->count;
}
