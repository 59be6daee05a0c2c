/* Counts of values by size, after the manner of HDR histograms: below 256 each value has a bucket
 * of its own, above that each power of two is cut into 128, so that what is read off is less than 1
 * % too large. Values above HISTOGRAM_VALUE_MAX count as that. Needs no memory beyond itself: can
 * lie in memory that processes share. All zeroes is empty. */
#pragma once

#include <stdint.h>

enum {
    HISTOGRAM_SUB_BITS = 7,
    HISTOGRAM_VALUE_BITS = 42, /* in nanoseconds: 73 minutes */
    HISTOGRAM_BUCKETS = (HISTOGRAM_VALUE_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS,
};

#define HISTOGRAM_VALUE_MAX ((UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1)

struct histogram {
    uint64_t count;
    uint64_t sum;
    uint64_t max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t value);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* The value that a share of `quantile` (0 to 1) of all values does not exceed; 0 when empty. */
uint64_t histogram_value_at(const struct histogram *histogram, double quantile);
double histogram_mean(const struct histogram *histogram);
