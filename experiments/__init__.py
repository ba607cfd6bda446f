"""How learned schedules compare: baselines, tuning, oracle, controls, statistics, tables and figures."""
