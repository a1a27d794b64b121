/* The library of the stand-in: shows that a library beside the jars is loaded and runs. No BLS is in it. */
int Java_supranational_blst_StandinLibrary_answer(void *environment, void *class_) {
    (void)environment;
    (void)class_;
    return 42;
}
