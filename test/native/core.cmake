gattling_test(blocks_test gattling_engine)
gattling_test(scheduler_test gattling_engine)
gattling_test(engine_test gattling_engine threads)
gattling_test(memory_plan_test gattling_engine)
gattling_test(reference_test gattling_engine)
gattling_test(demo_test gattling_engine slow)  # under sanitizers reference_test shows as much
gattling_test(independence_test gattling_engine)
gattling_test(shapes_test gattling_engine)
target_sources(shapes_test PRIVATE forward_reference.cpp tiny_model.cpp)
