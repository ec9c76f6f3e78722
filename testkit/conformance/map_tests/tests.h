// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which of the tests in map_tests/ their own main would call: run_maps.c has a table of its own. */
