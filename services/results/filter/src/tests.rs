mod fuzz;
mod memory;
mod refusals;
mod statements;
