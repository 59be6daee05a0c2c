/* Memory for cJSON: one small block from which it takes what it needs for one message, and which is
 * used again for the next, so that decoding costs no malloc.
 *
 * cJSON's hooks carry no argument and hold for the whole process. So there is one arena, for one
 * thread; while it is set up, whatever cJSON allocates lives until json_arena_reset and must not
 * be given to cJSON_Delete. */
#pragma once

#include "common/compiler.h"

#include <stdbool.h>

/* What cJSON can take between two resets; then it gets NULL, and its parse fails. */
enum { JSON_ARENA_BYTES = 8192 };

/* Once, before anything is parsed. False: no memory. */
MUST_CHECK bool json_arena_init(void);
/* Gives cJSON its malloc and free back. Allowed without an init before. */
void json_arena_fini(void);

/* Everything that was taken is free again. */
void json_arena_reset(void);
