// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest backend: tests are run by a small runner of ours (testkit/test.h).
#pragma once

#include "testkit/guest/runner.h"
