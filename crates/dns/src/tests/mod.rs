mod serving;
mod table;
mod world;
