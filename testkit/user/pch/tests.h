// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What most tests include, read once.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "kernel/host/contract.h"
